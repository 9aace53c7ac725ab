"""Take an audit's figures and findings over into a plugin's folder, for its model card."""

from __future__ import annotations

import json
import re
from pathlib import Path

from whycad.audit.findings import Audit, Severity
from whycad.audit.run.runner import FIGURES_FILE, read_audit
from whycad.card_audits import CardAudit, CardFinding, add_audit
from whycad.errors import DatasetError
from whycad.files import write_whole
from whycad.model_card import stored_figures_of
from whycad.performance import FILE_NAME, Performance
from whycad.plugin import Plugin
from whycad.types import JsonObject

ORDER = (Severity.CRITICAL, Severity.WARNING, Severity.UNKNOWN)


def renew_from(folder: Path, plugin: Plugin) -> Path:
    """Write an audit's figures and headline findings into a plugin's folder.

    Figures take the place of those of the same data set; the main ``performance.json`` is written only
    where it is of this data set or absent.

    Parameters
    ----------
    folder : Path
        The audit's.
    plugin : Plugin

    Returns
    -------
    Path
        The file that holds the figures now.

    Raises
    ------
    DatasetError
        When the folder holds no finished audit of this task's weights on labelled cases.
    ManifestError, StoreError
        When stored files are broken, or cannot be written.
    """
    audit = read_audit(folder)
    if audit.model is None or audit.model.task != plugin.id:
        raise DatasetError(f"{folder.name!r} holds no audit of task {plugin.id!r}")
    if audit.model.weights_sha256 != plugin.weights_sha256:
        raise DatasetError(f"{folder.name!r} is an audit of other weights", remedy="audit the model as it is now")
    figures = _figures_of(folder)
    path, name = _place(plugin.folder, audit.data.name, str(figures["split"]))
    figures = {**figures, "dataset": name, "run": folder.name, "source": audit.data.name}
    write_whole(path, json.dumps(figures, indent=1, allow_nan=False) + "\n")
    add_audit(plugin.folder, card_audit(audit, folder.name, name))
    return path


def card_audit(audit: Audit, run: str, dataset: str) -> CardAudit:
    """Return what the card keeps of an audit.

    Parameters
    ----------
    audit : Audit
        Of a model.
    run : str
        Name of the audit's folder.
    dataset : str
        Name of the data set for readers.
    """
    assert audit.model is not None
    ordered = [finding for severity in ORDER for finding in audit.findings if finding.severity is severity]
    return CardAudit(
        run=run,
        dataset=dataset,
        split=audit.data.split,
        created_utc=audit.run.created_utc,
        command=audit.run.command,
        weights_sha256=audit.model.weights_sha256,
        n=audit.data.n_scope,
        split_uses=audit.run.split_uses,
        simulated=audit.data.simulated,
        counts={severity.value: sum(f.severity is severity for f in audit.findings) for severity in Severity},
        findings=tuple(CardFinding(severity=f.severity.value, check=f.check, message=f.message) for f in ordered),
    )


def _figures_of(folder: Path) -> JsonObject:
    try:
        text = (folder / FIGURES_FILE).read_text(encoding="utf-8")
        Performance.model_validate_json(text)
        found = json.loads(text)
        if isinstance(found.get("metrics"), dict) and found.get("n"):
            return dict(found)
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{folder.name!r} holds no figures of the model ({type(error).__name__})",
            remedy="audit it on cases with labels",
        ) from error
    raise DatasetError(f"{folder.name!r} holds no figures of the model", remedy="audit it on cases with labels")


def _place(folder: Path, source: str, split: str) -> tuple[Path, str]:
    """Return the file for a data set's figures, and the name that readers know the data set by."""
    stored = stored_figures_of(folder)
    for path, figures in stored.items():
        if _is_of(figures, source) and (figures.get("split") or "") == split:
            return path, str(figures["dataset"])
    if not (folder / FILE_NAME).exists():
        return folder / FILE_NAME, source
    return folder / f"performance-{_slug(source)}.json", source


def _is_of(figures: JsonObject, source: str) -> bool:
    """Tell whether stored figures are of the data set in the file ``source``, by what they say of themselves."""
    named = re.findall(r"--dataset (\S+)", str(figures.get("command", "")))
    files = {Path(name).stem for name in named} | {str(figures.get("source", ""))}
    return source in files or _slug(str(figures["dataset"])) == _slug(source)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "data"

"""What an audit says that bears on one image: shortcuts that are in it, in a clinician's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from whycad.audit.data_words import times_words
from whycad.audit.findings import Audit, Finding, Severity
from whycad.audit.run.runs import find_runs
from whycad.audit.words import effect_words
from whycad.errors import DatasetError, ManifestError
from whycad.performance import in_band, same_level
from whycad.plugin import Plugin
from whycad.types import MetadataValue
from whycad.whatif.artefacts import artefact_words

# Checks whose findings hold for any image that has what they name, the most telling first.
SHORTCUT_CHECKS = (
    "metadata_label", "artefact_removal", "artefact_insertion", "metadata_prediction", "matched_performance",
    "map_in_artefact",
)  # fmt: skip
TELLING = (Severity.CRITICAL, Severity.WARNING)
MOST_FINDINGS = 60
# The level of an artefact that is in the image.
PRESENT = "yes"
MAX_BYTES = 1024 * 1024


class AuditSummary(BaseModel):
    """What is packaged with a task of its audit: no case ids, no paths.

    Attributes
    ----------
    data, split : str
        What the audit was of.
    findings : tuple of Finding
        Of shortcuts, without their cases.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    task: str
    weights_sha256: str
    data: str
    split: str = ""
    created_utc: str
    simulated: bool = False
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class CaseLine:
    """A shortcut that is in an image, or a fact of its patient that the model treats differently.

    Attributes
    ----------
    what : str
        Such as ``coloured patch``.
    sentence : str
        What the audit found, with its interval.
    severity : Severity
    artefact : str
        Kind of artefact that can be taken away; empty for metadata.
    """

    what: str
    sentence: str
    severity: Severity
    artefact: str = ""


def summary_of(audit: Audit) -> AuditSummary | None:
    """Return what an audit says of shortcuts; None where it looked for none, had no model, or was of samples."""
    done = {state.check for state in audit.checks if state.status == "done"}
    if audit.model is None or audit.data.kind == "samples" or not done & set(SHORTCUT_CHECKS):
        return None
    told = [f for f in audit.findings if f.check in SHORTCUT_CHECKS and f.severity in TELLING and f.column]
    told.sort(key=lambda f: (TELLING.index(f.severity), SHORTCUT_CHECKS.index(f.check)))
    return AuditSummary(
        task=audit.model.task,
        weights_sha256=audit.model.weights_sha256,
        data=audit.data.name,
        split=audit.data.split,
        created_utc=audit.run.created_utc,
        simulated=audit.data.simulated,
        findings=tuple(f.model_copy(update={"cases": ()}) for f in told[:MOST_FINDINGS]),
    )


def latest_summary(plugin: Plugin, audits: Path) -> AuditSummary | None:
    """Return what the latest audit of a task with these weights says: the packaged one, or the user's own.

    Parameters
    ----------
    plugin : Plugin
    audits : Path
        Folder of the user's audits.
    """
    found = [summary for summary in (packaged_summary(plugin), *_own(audits)) if summary is not None]
    of_model = [s for s in found if s.task == plugin.id and s.weights_sha256 == plugin.weights_sha256]
    return max(of_model, key=lambda summary: summary.created_utc, default=None)


def packaged_summary(plugin: Plugin) -> AuditSummary | None:
    """Return the summary that a plugin's manifest names; None where it names none or the file is missing.

    Raises
    ------
    ManifestError
        When the file is broken.
    """
    path = plugin.audit_path()
    if path is None or not path.is_file():
        return None
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ManifestError(f"{plugin.label}: {path.name} is larger than {MAX_BYTES} bytes")
        return AuditSummary.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise ManifestError(
            f"{plugin.label}: {path.name} cannot be read ({type(error).__name__})", remedy="write it again"
        ) from error


def _own(audits: Path) -> list[AuditSummary | None]:
    found = []
    for run in find_runs(audits):
        if not run.finished or run.record is None or not run.record.task:
            continue
        try:
            found.append(summary_of(run.read()))
        except DatasetError:
            continue
    return found


def case_lines(
    summary: AuditSummary,
    artefacts: Sequence[str],
    metadata: Mapping[str, MetadataValue],
    label_name: Callable[[str], str] = str,
) -> tuple[CaseLine, ...]:
    """Return what the audit says of this image, one line per artefact or fact, the most worrying first.

    Parameters
    ----------
    summary : AuditSummary
    artefacts : sequence of str
        Kinds of artefact found in the image.
    metadata : mapping
        What is known of the case.
    label_name : callable
        Gives a label's name for its code.
    """
    lines = [_artefact_line(name, summary, label_name) for name in dict.fromkeys(artefacts)]
    lines += [_fact_line(name, value, summary) for name, value in sorted(metadata.items())]
    known = [line for line in lines if line is not None]
    return tuple(sorted(known, key=lambda line: TELLING.index(line.severity)))


def _artefact_line(name: str, summary: AuditSummary, label_name: Callable[[str], str]) -> CaseLine | None:
    what = artefact_words(name).removeprefix("the ")
    about = [f for f in summary.findings if _names(f.column) & {_folded(name), _folded(what)}]
    return None if not about else CaseLine(what, _sentence(about, label_name), about[0].severity, name)


def _fact_line(name: str, value: MetadataValue, summary: AuditSummary) -> CaseLine | None:
    """Return a line where a finding is of images with this very value, or with a range that holds it."""
    known = bool(value.strip()) if isinstance(value, str) else isinstance(value, int | float)
    if not known or isinstance(value, bool):
        return None
    about = [f for f in summary.findings if _folded(name) in _names(f.column) and _is_at(f.level, value)]
    what = f"{name.replace('_', ' ')} {str(value).strip()}"
    return None if not about else CaseLine(what, _sentence(about), about[0].severity)


def _is_at(level: str, value: str | float) -> bool:
    if not level:
        return False
    return same_level(value, level) or (not isinstance(value, str) and in_band(float(value), level))


def _sentence(about: Sequence[Finding], with_one: Callable[[str], str] | None = None) -> str:
    """Word the two most telling findings, of different checks.

    ``with_one`` gives a label's name where the findings are of an artefact, which an image has or has not.
    """
    first = about[0]
    second = next((f for f in about if f.check != first.check), None)
    return " ".join(_words(f, with_one) for f in (first, second) if f is not None)


def _words(finding: Finding, with_one: Callable[[str], str] | None) -> str:
    # A level other than "yes" is named in the message, whose words then stay as they are.
    if with_one is None or finding.share_ratio is None or finding.level != PRESENT:
        return finding.message if finding.message.endswith(".") else f"{finding.message}."
    times = times_words(finding.share_ratio)
    return f"{with_one(finding.label)} was {times} with one ({finding.effect_name} {effect_words(finding)})."


def _names(column: str) -> set[str]:
    parts = re.split(r" and |[,;]", column)
    return {_folded(part.strip().removesuffix("_in_image")) for part in parts}


def _folded(name: str) -> str:
    """Return a name as it is compared: without case, underscores, article and plural."""
    words = re.sub(r"[\s_-]+", " ", name).strip().casefold().removeprefix("the ").split(" ")
    return " ".join(word.removesuffix("s") if len(word) > 3 else word for word in words)

"""One phantom test: make a set, train on it, see whether the network uses the shortcut, audit it as users do."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from whycad.audit.findings import Finding, Severity
from whycad.audit.ledger import LEDGER_VARIABLE
from whycad.audit.qa.musts import ALARM_CHECKS, LEAK_MUSTS, LEAST_CELL, MUSTS, is_worrying, names_of, sees, words_in
from whycad.audit.qa.plan import SetSpec
from whycad.audit.qa.sets import CLASSES, PhantomSet, as_bytes, make_set, make_truth, phi_of
from whycad.errors import WhyCadError
from whycad.files import write_whole
from whycad.registry import FOLDERS_VARIABLE

if TYPE_CHECKING:
    from whycad.audit.findings import Audit
    from whycad.audit.qa.trained import Probabilities
    from whycad.plugin import Plugin

# The AUC on images in which artefact and label disagree must fall by this much for the network to count as using it.
LEAST_FALL = 0.05
# A mean change of the probability by less, where an artefact is put into images, is no response.
LEAST_RESPONSE = 0.03
N_RESPONSES = 160
# What these say is of the data, whatever a network does.
DATA_ONLY = ("metadata_label", "trivial_feature", *LEAK_MUSTS.values())
# What these warn of may be a cluster of features or of maps, named after no artefact.
CLUSTERS = ("slice", "attribution_cluster")
# Of these the sign of the effect is that of the network's response, or the opposite one.
SIGNS = {"artefact_insertion": 1, "metadata_prediction": 1, "artefact_removal": -1}
VALUES_NOT_FLAGS = ("scanner", "orig_size")
INTERVENTIONS = ("artefact_insertion", "artefact_removal")
KNOWN_NAMES = frozenset(name for artefact in MUSTS for name in names_of(artefact))


@dataclass(frozen=True)
class QaOptions:
    """How each set is tested.

    Attributes
    ----------
    folder : Path
        Where everything lies.
    n_draws, n_perturbed, n_explained : int
        As of an audit; fewer than its defaults, so that many sets can be made.
    keep : bool
        Whether the set, its network and the whole audit are kept beside the result.
    n_patients : int or None
        Patients per set; None for the usual number.
    """

    folder: Path
    n_draws: int = 300
    n_perturbed: int = 100
    n_explained: int = 24
    keep: bool = False
    n_patients: int | None = None


class Alarm(BaseModel):
    """A warning of one check."""

    model_config = ConfigDict(frozen=True)

    check: str
    severity: Severity
    column: str = ""
    label: str = ""
    effect: float | None = None
    message: str = ""


class SetResult(BaseModel):
    """What one phantom test gave.

    ``auc_*`` are of new images in which artefact and label have nothing to do with each other: all
    of them, those where they agree by chance, those where they do not. ``responses`` are mean
    changes of the probability of disease where the audit's artefacts are put into new images, of
    sets without a shortcut; ``lifts`` how much higher that probability is in new images of the same
    label with an artefact, ``gaps`` how much higher their AUC is.
    ``seen`` says of each check that must see the fault whether it did; ``ran`` which checks ran.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    task: str
    artefact: str
    phi: float
    leak: str = ""
    phi_found: float = 0.0
    auc_whole: float | None = None
    auc_aligned: float | None = None
    auc_conflicting: float | None = None
    responses: dict[str, float] = {}
    lifts: dict[str, float] = {}
    gaps: dict[str, float] = {}
    seen: dict[str, bool] = {}
    ran: tuple[str, ...] = ()
    skipped: dict[str, str] = {}
    alarms: tuple[Alarm, ...] = ()
    seconds: float = 0.0
    failed: str = ""

    @property
    def uses_shortcut(self) -> bool:
        """Whether the network really uses the artefact."""
        if self.auc_whole is None or self.auc_conflicting is None:
            return False
        return self.auc_whole - self.auc_conflicting >= LEAST_FALL

    @property
    def is_null(self) -> bool:
        """Whether no shortcut and no leak was planted."""
        return self.phi == 0 and not self.leak and not self.failed

    def is_false(self, alarm: Alarm) -> bool:
        """Tell whether a warning in a set without a fault is false.

        It is true where the network came, by chance, to respond to what the warning names, or, of a
        warning that names no artefact but a cluster, to any artefact. Of a subgroup it is also true where
        new images with the artefact are ranked better or worse than those without.
        """
        if alarm.check in DATA_ONLY:
            return True
        named = words_in(alarm.column) & KNOWN_NAMES
        told = self.responses if alarm.check in INTERVENTIONS else self.lifts
        felt = {name: change for name, change in told.items() if abs(change) >= LEAST_RESPONSE}
        if alarm.check == "subgroup":
            felt |= {name: gap for name, gap in self.gaps.items() if abs(gap) >= LEAST_FALL}
        if not named:
            return not (alarm.check in CLUSTERS and (felt or self.responds))
        own = named & told.keys()
        about = [name for name in felt if name in own or (not own and names_of(name) & named)]
        return not any(_agrees(alarm, felt[name]) for name in about)

    @property
    def responds(self) -> bool:
        """Whether any artefact that is put in moves the probability."""
        return any(abs(change) >= LEAST_RESPONSE for change in self.responses.values())


def _agrees(alarm: Alarm, change: float) -> bool:
    """Tell whether a warning says of an artefact that it moves the answer to where it does."""
    # A warning of a column with several values may name the one that stands for no artefact.
    named = alarm.column not in VALUES_NOT_FLAGS
    sign = SIGNS.get(alarm.check, 0) if named or alarm.check in INTERVENTIONS else 0
    towards = -1 if alarm.label == CLASSES[0] else 1
    return not sign or (alarm.effect or 0) * sign * towards * change > 0


def run_set(spec: SetSpec, options: QaOptions) -> SetResult:
    """Make, train and audit one set; keep the result in ``folder / "results"``; errors of WhyCAD are a result too."""
    started, place = time.monotonic(), options.folder / "sets" / spec.id
    shutil.rmtree(place, ignore_errors=True)
    (place / "plugins").mkdir(parents=True)
    try:
        with _installed(place):
            result = _tested(spec, options, place)
    except WhyCadError as error:
        result = _result(spec, failed=str(error))
    finally:
        if not options.keep:
            shutil.rmtree(place, ignore_errors=True)
    result = result.model_copy(update={"seconds": round(time.monotonic() - started, 1)})
    file = result_file(options.folder, spec)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, result.model_dump_json(indent=1) + "\n")
    return result


def result_file(folder: Path, spec: SetSpec) -> Path:
    """Return where the result of a set is kept."""
    return folder / "results" / f"{spec.id}.json"


def read_result(folder: Path, spec: SetSpec) -> SetResult | None:
    """Return what was found of a set, or None where it is not done yet."""
    try:
        return SetResult.model_validate_json(result_file(folder, spec).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def musts_of(spec: SetSpec, made: PhantomSet) -> tuple[str, ...]:
    """Return the checks that must see what is planted; a matched performance only where there is enough to match."""
    if spec.phi == 0:
        return ()
    val = made.splits == "val"
    cells = [np.sum(val & (made.labels == label) & (made.planted == there)) for label in (0, 1) for there in (0, 1)]
    few = min(cells) < LEAST_CELL
    return tuple(check for check in MUSTS[spec.artefact] if check != "matched_performance" or not few)


@contextmanager
def _installed(place: Path) -> Iterator[None]:
    """Let the tasks of a folder be found, and keep its ledger there, as long as the block lasts."""
    wanted = {FOLDERS_VARIABLE: str(place / "plugins"), LEDGER_VARIABLE: str(place / "ledger.jsonl")}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _tested(spec: SetSpec, options: QaOptions, place: Path) -> SetResult:
    made = make_set(spec) if options.n_patients is None else make_set(spec, options.n_patients)
    pack = made.write(place / "pack.npz")
    if spec.leak:
        audit, seen = _audited(pack, "", options, place), LEAK_MUSTS[spec.leak]
        return _result(spec, made, audit, {seen: sees(audit.findings, seen, spec.artefact)})
    from whycad.audit.qa.trained import train_task

    plugin = train_task(spec, made, place / "plugins")
    truth = truth_of(spec, plugin)
    audit = _audited(pack, spec.plugin_id, options, place)
    must = musts_of(spec, made)
    found = _result(spec, made, audit, {check: sees(audit.findings, check, spec.artefact) for check in must})
    return found.model_copy(update=truth)


def truth_of(spec: SetSpec, plugin: Plugin) -> dict[str, object]:
    """Return what the trained network really does on new images: fields of ``SetResult``."""
    from sklearn.metrics import roc_auc_score

    from whycad.audit.qa.trained import Probabilities

    score = Probabilities(plugin)
    truth = make_truth(spec)
    scores, agree = score(truth.images), truth.planted == (truth.labels == 1)
    parts = {"auc_whole": np.ones(len(truth), bool), "auc_aligned": agree, "auc_conflicting": ~agree}
    areas: dict[str, object] = {
        name: float(roc_auc_score(truth.labels[part], scores[part])) for name, part in parts.items()
    }
    if spec.phi:
        return areas
    # What a warning in a set without a fault is held against.
    return {
        **areas,
        "responses": responses_of(truth.images[:N_RESPONSES], spec, plugin, score),
        "lifts": {name: _lift(scores, truth.labels, there) for name, there in truth.flags.items()},
        "gaps": {
            name: float(roc_auc_score(truth.labels[there], scores[there]))
            - float(roc_auc_score(truth.labels[~there], scores[~there]))
            for name, there in truth.flags.items()
        },
    }


def _lift(scores: NDArray[np.float64], labels: NDArray[np.int64], there: NDArray[np.bool_]) -> float:
    """Return how much higher scores are with an artefact, the mean over both labels."""
    parts = [labels == label for label in (0, 1)]
    return float(np.mean([scores[part & there].mean() - scores[part & ~there].mean() for part in parts]))


def responses_of(images: NDArray[np.uint8], spec: SetSpec, plugin: Plugin, score: Probabilities) -> dict[str, float]:
    """Return how far each artefact that an audit inserts moves the probability, on new images ``(n, 64, 64[, 3])``."""
    from whycad.audit.changes.change import Canvas, Change, row_seed
    from whycad.audit.changes.families import apply
    from whycad.audit.changes.insert import insertable
    from whycad.audit.qa.trained import study_of

    before = score(images)
    found: dict[str, float] = {}
    for kind in insertable(plugin.manifest):
        canvases = (Canvas(study_of(image), None, plugin, row_seed(spec.seed, row)) for row, image in enumerate(images))
        changed = [(canvas, apply(canvas, Change("insert", kind))) for canvas in canvases]
        drawn = as_bytes([(canvas if made is None else made).study.pixels for canvas, made in changed])
        new = np.array([made is not None for _, made in changed])
        found[kind] = float((score(drawn) - before)[new].mean()) if new.any() else 0.0
    return found


def _audited(pack: Path, task: str, options: QaOptions, place: Path) -> Audit:
    """Run the audit that users run, with the checks that speak of shortcuts and leaks."""
    from whycad.audit.checks import DATA_CHECKS, available
    from whycad.audit.context import AuditOptions
    from whycad.audit.run.runner import AuditRequest, run_audit

    checks = tuple(check for check in available() if check in ALARM_CHECKS and (task or check in DATA_CHECKS))
    return run_audit(
        AuditRequest(
            dataset=pack,
            out=place / "audit",
            task=task,
            split="val" if task else "",
            checks=checks,
            options=AuditOptions(
                n_draws=options.n_draws, n_perturbed=options.n_perturbed, n_explained=options.n_explained
            ),
        )
    )


def _result(
    spec: SetSpec,
    made: PhantomSet | None = None,
    audit: Audit | None = None,
    seen: dict[str, bool] | None = None,
    failed: str = "",
) -> SetResult:
    checks = () if audit is None else audit.checks
    return SetResult(
        id=spec.id,
        task=spec.task,
        artefact=spec.artefact,
        phi=spec.phi,
        leak=spec.leak,
        phi_found=0.0 if made is None else phi_of(made.labels, made.planted),
        seen=seen or {},
        ran=tuple(check.check for check in checks if check.status == "done"),
        skipped={check.check: check.why for check in checks if check.status != "done"},
        alarms=tuple(_alarm(finding) for finding in (() if audit is None else audit.findings) if is_worrying(finding)),
        failed=failed,
    )


def _alarm(finding: Finding) -> Alarm:
    return Alarm(
        check=finding.check,
        severity=finding.severity,
        column=finding.column,
        label=finding.label,
        effect=finding.effect,
        message=finding.message,
    )

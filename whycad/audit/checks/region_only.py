"""What the model knows from a part of the image alone: the background, the border, the finding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.audit.change_stats import Effect, effects, interval_words
from whycad.audit.changes.asking import ask, only_volumes, sampled
from whycad.audit.changes.change import Change
from whycad.audit.changes.keep import BOX_MARGIN, PARTS, RING
from whycad.audit.changes.shown import parts_shown
from whycad.audit.changes.skill import balanced_accuracy, difference, macro_auroc
from whycad.audit.changes.words import simulated_note
from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.findings import Chart, CheckResult, Column, Finding, Mark, Series, Severity, Table
from whycad.audit.run.changed import ABSENT, BY_SLICES, ChangedAnswers
from whycad.audit.stats import CHECK_ALPHA

CHANCE = 0.5
# Below this a background that ranks better than chance is of no use to anybody.
WORTH_A_LOOK = 0.6
# The share of the full image's skill beyond chance at which the finding hardly matters to the model.
NEARLY_ALL = 0.8
N_CASES = 12
WORDS = {"background": "the background alone", "border": "the border alone", "finding": "the finding alone"}
TITLES = {"background": "Background alone", "border": "Border alone", "finding": "Finding alone", "full": "Full image"}
METHOD = (
    "The finding is outlined by the data set, or by the task's own evidence where it is not. Background alone: the "
    f"finding's box, {BOX_MARGIN:.0%} wider on every side, is filled from around it; border alone: all but the outer "
    f"{RING:.0%} of each side is one grey; finding alone: all but the outline is one grey. AUROC is the mean over the "
    "labels, each against the rest, on a sample with few images of a patient or lesion and the labels as equally "
    "many as there are; 95 % bootstrap intervals over groups, corrected for two parts (Bonferroni). The filled box "
    "still tells the finding's size. A background above chance (AUROC 0.6 or more) is worth a look; one that keeps "
    "80 % of the full image's skill beyond chance is worrying."
)
REFERENCES = (
    "Bissoto 2019, (De)Constructing bias on skin lesion datasets, doi:10.1109/CVPRW.2019.00335",
    "Maguolo 2021, A critic evaluation of methods for COVID-19 automatic detection from X-ray images, "
    "doi:10.1016/j.inffus.2021.04.008",
)


@dataclass(frozen=True, eq=False)
class PartSkill:
    """How well a part of the image ranks the labels.

    Attributes
    ----------
    part : str
    auroc, full : Effect
        Of the part and of the full image, on the same cases.
    accuracy : Effect
        Balanced accuracy.
    outlined, refused : int
        Images that could be changed so, and those of them that got no answer.
    rows : ndarray of int64
        The cases, as places in the scope: those that are right from the part alone come first.
    """

    part: str
    auroc: Effect
    full: Effect
    accuracy: Effect
    outlined: int
    refused: int
    rows: NDArray[np.int64]

    @property
    def kept(self) -> float:
        """Share of the full image's skill beyond chance that the part has."""
        return (self.auroc.value - CHANCE) / max(self.full.value - CHANCE, 1e-6)


def run(context: AuditContext) -> CheckResult:
    """Hide parts and ask again."""
    scope = sampled(context, context.options.n_perturbed, context.answers.judged)
    if not len(scope):
        raise CheckSkippedError("no image of this split has both a score and a label")
    changes = [Change("keep", part) for part in PARTS]
    answers = ask(context, scope, changes)
    if only_volumes(answers):
        raise CheckSkippedError(BY_SLICES)
    skills = [skill_of(context, answers, change) for change in changes]
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method=METHOD,
        references=REFERENCES,
        findings=tuple(finding_of(context, skill) for skill in skills if skill.part != "finding"),
        tables=(_table(context, skills),),
        charts=(_chart(context, skills),),
        pictures=parts_shown(context, CHECK.id, _pictured(skills), changes, TITLES),
        note=simulated_note(context),
    )


def skill_of(context: AuditContext, answers: ChangedAnswers, change: Change) -> PartSkill:
    """Measure how well a part alone ranks the labels."""
    place = answers.of(change)
    made = answers.answered[:, place] & (answers.why[:, place] != ABSENT)
    known = made & (answers.predicted[:, place] >= 0)
    scope, after = answers.scope[known], answers.probabilities[known, place]
    labels, before = context.answers.label[scope], context.answers.probabilities[scope]
    groups = context.in_scope.groups[scope]
    n, predicted = int(known.sum()), answers.predicted[known, place]
    part, full = macro_auroc(after, labels), macro_auroc(before, labels)
    rows = scope[np.argsort(predicted != labels, kind="stable")]
    counts = (int(made.sum()), int((made & ~known).sum()))
    if part is None or full is None:
        nothing = Effect(float("nan"), None, None, 1.0, n)
        return PartSkill(change.kind, nothing, nothing, nothing, *counts, rows)
    draws = context.bootstrap(groups)
    shifted = effects({"part": (difference(part, _chance), n)}, draws, {"part": draws.n_groups})["part"]
    plain = effects(
        {"part": (part, n), "full": (full, n), "accuracy": (balanced_accuracy(predicted, labels), n)},
        draws,
        dict.fromkeys(("part", "full", "accuracy"), draws.n_groups),
    )
    # Tested against chance; the two parts that are judged count as two.
    p = min(1.0, 2 * shifted.p)
    auroc = Effect(plain["part"].value, plain["part"].low, plain["part"].high, p, n)
    return PartSkill(change.kind, auroc, plain["full"], plain["accuracy"], *counts, rows)


def _chance(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.full(len(weights), CHANCE)


def severity_of(skill: PartSkill) -> Severity:
    """Return how worrying it is that a part without the finding ranks the labels as it does."""
    auroc = skill.auroc
    sure = auroc.p < CHECK_ALPHA and auroc.low is not None and auroc.low > CHANCE
    if not sure or auroc.value < WORTH_A_LOOK:
        return Severity.OK
    return Severity.CRITICAL if skill.kept >= NEARLY_ALL else Severity.WARNING


def finding_of(context: AuditContext, skill: PartSkill) -> Finding:
    """Say what a part without the finding tells."""
    least, auroc = context.options.least_n, skill.auroc
    about = {"check": CHECK.id, "column": skill.part, "no_effect": CHANCE, "effect_name": "AUROC from the part alone"}
    if auroc.n < least or not np.isfinite(auroc.value):
        return Finding.model_validate(
            {**about, "severity": Severity.UNKNOWN, "message": _why_unknown(skill, least), "n": auroc.n}
        )
    where = interval_words(auroc.low, auroc.high)
    severity = severity_of(skill)
    verdict = {
        Severity.OK: "no better than chance" if (auroc.low or 0) <= CHANCE else "hardly better than chance",
        Severity.WARNING: "better than chance",
        Severity.CRITICAL: "nearly as well as from the full image",
    }[severity]
    return Finding.model_validate(
        {
            **about,
            "severity": severity,
            "message": f"From {WORDS[skill.part]} the model ranks the labels {verdict}: AUROC {auroc.value:.2f} "
            f"({where}), from the full image {skill.full.value:.2f}.",
            "effect": auroc.value,
            "ci_low": auroc.low,
            "ci_high": auroc.high,
            "n": auroc.n,
            "cases": context.ids(skill.rows, N_CASES),
            "n_cases": auroc.n,
        }
    )


def _why_unknown(skill: PartSkill, least: int) -> str:
    start = f"What {WORDS[skill.part]} tells: not established"
    if skill.outlined < least:
        return f"{start}, the finding is outlined in {skill.outlined} of the {least} images that it takes."
    if skill.auroc.n < least:
        return f"{start}, the task refuses {skill.refused} of {skill.outlined} images without the rest."
    return f"{start}, no label has five cases and five others."


def _table(context: AuditContext, skills: list[PartSkill]) -> Table:
    columns = {"part": "Part", "auroc": "AUROC", "low": "95 % from", "high": "to", "full": "Full image's AUROC"}
    columns |= {"accuracy": "Balanced accuracy", "n": "Images", "refused": "Refused"}
    rows = tuple(
        (
            TITLES[skill.part],
            _number(skill.auroc.value),
            skill.auroc.low,
            skill.auroc.high,
            _number(skill.full.value),
            _number(skill.accuracy.value),
            skill.auroc.n,
            skill.refused,
        )
        for skill in skills
    )
    return Table(
        key="parts",
        title="What parts of the image tell alone",
        columns=tuple(Column(key=key, title=title) for key, title in columns.items()),
        rows=rows,
        cases=tuple(context.ids(skill.rows, N_CASES) for skill in skills),
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _chart(context: AuditContext, skills: list[PartSkill]) -> Chart:
    known = [skill for skill in skills if np.isfinite(skill.auroc.value)]
    marks = [_full_mark(skill) for skill in known[:1]] + [_mark(context, skill) for skill in known]
    return Chart(
        key="parts",
        title="AUROC from parts of the image alone",
        kind="interval",
        series=(Series(marks=tuple(marks)),),
        x_title="AUROC",
        reference=CHANCE,
    )


def _full_mark(skill: PartSkill) -> Mark:
    full = skill.full
    return Mark(x=full.value, y=TITLES["full"], low=full.low, high=full.high, n=full.n)


def _mark(context: AuditContext, skill: PartSkill) -> Mark:
    effect, enough = skill.auroc, skill.auroc.n >= context.options.least_n
    judged = severity_of(skill) if enough else Severity.UNKNOWN
    return Mark(
        x=effect.value,
        y=TITLES[skill.part],
        low=effect.low,
        high=effect.high,
        n=effect.n,
        severity=None if skill.part == "finding" else judged,
        cases=context.ids(skill.rows, N_CASES),
    )


def _pictured(skills: list[PartSkill]) -> int | None:
    """Return the case that is shown: the first that could be changed in every way."""
    rows = [set(skill.rows.tolist()) for skill in skills if len(skill.rows)]
    both = set.intersection(*rows) if rows else set()
    return min(both) if both else None


CHECK = Check(
    "region_only",
    "Parts of the image alone",
    "Can the model tell the label without seeing the finding?",
    run,
)

"""How the answers fare when images get worse, and whether the task notices that it fails."""

from __future__ import annotations

from whycad.audit.changes.acquisition import acquisition_part
from whycad.audit.changes.asking import ask, only_volumes, sampled
from whycad.audit.changes.change import Change
from whycad.audit.changes.corrupt import CORRUPTIONS, STRENGTHS
from whycad.audit.changes.degrading import JUDGED_AT, curves_of, degraded
from whycad.audit.changes.degrading_tables import degraded_charts, degraded_findings, degraded_table
from whycad.audit.changes.fragile import fragility_part
from whycad.audit.changes.words import simulated_note
from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.findings import CheckResult
from whycad.audit.run.changed import BY_SLICES

# Every image is changed 45 times: half as many images as other checks change.
SHARE_OF_PERTURBED = 2
METHOD = (
    "Nine corruptions at five strengths, described in physical terms in the table, on a sample with few images of a "
    "patient or lesion and the labels as equally many as there are. Balanced accuracy, AUROC, the share that is "
    "referred or rejected, and the share of errors among the reported cases, each with a 95 % bootstrap interval "
    f"over groups. Findings compare strength {JUDGED_AT} with the images as they are, case by case, with Holm's "
    "correction over the corruptions. Worrying is what makes more errors among the reported cases while no more "
    "cases are referred; fine is what its interval shows to cost less than 0.05 of balanced accuracy. Fragility is "
    "the smallest change of every pixel that a gradient search found to change the answer."
)
REFERENCES = (
    "Hendrycks 2019, Benchmarking neural network robustness to common corruptions and perturbations, arXiv:1903.12261",
    "Madry 2018, Towards deep learning models resistant to adversarial attacks, arXiv:1706.06083",
)


def run(context: AuditContext) -> CheckResult:
    """Make images worse and ask again."""
    limit = max(1, context.options.n_perturbed // SHARE_OF_PERTURBED)
    scope = sampled(context, limit, context.answers.judged)
    if not len(scope):
        raise CheckSkippedError("no image of this split has both a score and a label")
    changes = [Change("corrupt", kind, strength) for kind in CORRUPTIONS for strength in STRENGTHS]
    answers = ask(context, scope, changes)
    if only_volumes(answers):
        raise CheckSkippedError(BY_SLICES)
    curves = curves_of(context, answers)
    found = degraded(context, answers)
    shift, shift_tables, shift_note = acquisition_part(context)
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method=METHOD,
        references=REFERENCES,
        findings=(*degraded_findings(context, found), *fragility_part(context, scope), *shift),
        tables=(degraded_table(context, curves), *shift_tables),
        charts=degraded_charts(curves),
        note=" ".join(filter(None, (shift_note, simulated_note(context)))),
    )


CHECK = Check(
    "robustness",
    "Worse images",
    "Do the answers hold when images get worse, and does the task notice when they do not?",
    run,
)

"""What the answer is without an artefact that is in the image, against a control filled elsewhere."""

from __future__ import annotations

import numpy as np

from whycad.audit.changes.asking import ask, balanced_sample, only_volumes
from whycad.audit.changes.change import Change
from whycad.audit.changes.paired import paired
from whycad.audit.changes.paired_tables import Wording, paired_charts, paired_findings, paired_table
from whycad.audit.changes.shown import pictures_of
from whycad.audit.changes.words import simulated_note
from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.findings import CheckResult
from whycad.audit.run.changed import BY_SLICES
from whycad.audit.run.found import ArtefactsFound, artefacts_found
from whycad.whatif.artefacts import artefact_words
from whycad.whatif.inpaint import METHOD as FILLING

METHOD = (
    "Artefacts that the task's detectors find are taken out, unless the metadata say that there are none: the place "
    f"is filled by a {FILLING}. The control fills a place of the same shape elsewhere, clear of artefacts and of the "
    "finding. The effect is the probability without the artefact less that of the control, averaged over at most the "
    "stated number of images per artefact, few of a patient or lesion, with a 95 % bootstrap interval over groups; "
    "Holm's correction is over all artefacts and labels. A mean change of 0.05 against the image "
    "as it was, of which 0.02 are more than the control's, is worth a look, one of 0.10 and 0.05 worrying; "
    "fine is what its interval shows to stay below 0.10."
)
REFERENCES = (
    "Bissoto 2020, Debiasing skin lesion datasets and models? Not so fast, doi:10.1109/CVPRW50498.2020.00378",
)
WORDING = Wording("artefact_removal", "removing", "removed", artefact_words)


def run(context: AuditContext) -> CheckResult:
    """Take artefacts out and ask again."""
    there = artefacts_found(context)
    if not there.kinds:
        raise CheckSkippedError("no artefact was found in the images of this split")
    changes = [Change("remove", kind) for kind in there.kinds]
    answers = ask(context, rows_with_artefacts(context, there), [one for c in changes for one in (c, c.control)])
    if only_volumes(answers):
        raise CheckSkippedError(BY_SLICES)
    found = paired(context, answers, changes)
    findings = paired_findings(context, found, WORDING)
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method=METHOD,
        references=REFERENCES,
        findings=tuple(findings),
        tables=(paired_table(context, found, WORDING),),
        charts=paired_charts(context, found, WORDING),
        pictures=pictures_of(context, "remove", findings, WORDING),
        note=simulated_note(context),
    )


def rows_with_artefacts(context: AuditContext, there: ArtefactsFound) -> np.ndarray:
    """Choose rows so that every kind of artefact has its share of the images that may be changed."""
    limit = max(1, context.options.n_perturbed // len(there.kinds))
    labels, groups = context.answers.label, context.in_scope.groups
    chosen = [balanced_sample(labels, groups, there.of(kind), limit, context.options.seed) for kind in there.kinds]
    return np.unique(np.concatenate(chosen))


CHECK = Check(
    "artefact_removal",
    "Artefacts taken out of the images",
    "Would the answer be another one without the artefact that is in the image?",
    run,
)

"""What an artefact does to the answer when it is put into an image, against a control of equal size."""

from __future__ import annotations

from whycad.audit.changes.asking import ask, only_volumes, sampled
from whycad.audit.changes.change import Change
from whycad.audit.changes.insert import insertable, inserted_words
from whycad.audit.changes.paired import paired
from whycad.audit.changes.paired_tables import Wording, paired_charts, paired_findings, paired_table
from whycad.audit.changes.shown import pictures_of
from whycad.audit.changes.words import simulated_note
from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.findings import CheckResult
from whycad.audit.run.changed import BY_SLICES

METHOD = (
    "Each artefact is drawn into a sample of the images, as few of a patient or lesion as possible and the labels as "
    "equally many as there are. The control is drawn at the same place: the image's own texture from elsewhere, its "
    "difference from what was there as large (root mean square); for what lies all over the image, the same "
    "difference moved to another place. The effect is the probability with the artefact less that with the control, "
    "averaged, with a 95 % bootstrap interval over groups; Holm's correction is over all artefacts and labels. A "
    "mean change of 0.05 against the image as it was, of which 0.02 are more than the control's, is worth a look, one "
    "of 0.10 and 0.05 worrying; fine is what its interval shows to stay below 0.10. The artefacts are simulated."
)
REFERENCES = (
    "Bissoto 2020, Debiasing skin lesion datasets and models? Not so fast, doi:10.1109/CVPRW50498.2020.00378",
    "Winkler 2019, Association between surgical skin markings in dermoscopic images and diagnostic performance, "
    "doi:10.1001/jamadermatol.2019.1735",
)
WORDING = Wording("artefact_insertion", "inserting", "inserted", inserted_words)


def run(context: AuditContext) -> CheckResult:
    """Put artefacts in and ask again."""
    changes = [Change("insert", kind) for kind in insertable(context.manifest)]
    scope = sampled(context, context.options.n_perturbed)
    if not len(scope):
        raise CheckSkippedError("no image of this split was scored")
    answers = ask(context, scope, [one for change in changes for one in (change, change.control)])
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
        pictures=pictures_of(context, "insert", findings, WORDING),
        note=simulated_note(context),
    )


CHECK = Check(
    "artefact_insertion",
    "Artefacts put into the images",
    "Does an artefact that says nothing of the patient change the answer?",
    run,
)

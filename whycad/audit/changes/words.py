"""How results of changed images are put into words."""

from __future__ import annotations

from whycad.audit.checks import Check
from whycad.audit.context import AuditContext
from whycad.audit.findings import Finding, Severity
from whycad.audit.words import within_sentence
from whycad.manifest import Manifest

SIMULATED_NOTE = "Simulated: these images, or those that the task was trained on, were made by a program."
AT_MOST_NAMED = 4


def label_words(code: str, manifest: Manifest) -> str:
    """Return a label's name as it stands within a sentence: ``melanoma``, but ``CNV``."""
    return within_sentence(manifest.label(code).name)


def simulated_note(context: AuditContext) -> str:
    """Return what is to be said where simulated data went in."""
    return SIMULATED_NOTE if context.answers.simulated else ""


def too_few(check: Check, what: str, n: int, least: int, cases: tuple[str, ...] = ()) -> Finding:
    """Return the finding that a figure rests on too few cases; ``what`` starts the sentence."""
    return Finding(
        check=check.id,
        severity=Severity.UNKNOWN,
        message=f"{what}: not established, {n} of the {least} cases that it takes.",
        n=n,
        cases=cases,
        n_cases=n,
    )


def listed(names: list[str]) -> str:
    """Return names in a row: ``a, b and c``; of many, the first and how many more."""
    if len(names) > AT_MOST_NAMED + 1:
        return f"{', '.join(names[:AT_MOST_NAMED])} and {len(names) - AT_MOST_NAMED} others"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def rises(value: float) -> str:
    """Return the verb of a change."""
    return "raises" if value > 0 else "lowers"


def upper_first(text: str) -> str:
    """Start a sentence."""
    return text[:1].upper() + text[1:]

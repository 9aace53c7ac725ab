"""Labels that follow the subject: then a model that recognises people looks like one that sees disease."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import wilson_interval
from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.data.cases import UNKNOWN, AuditCases
from whycad.audit.data.vocabulary import names_subjects
from whycad.audit.data_words import listed, sentence, shown
from whycad.audit.findings import MAX_CASES, CheckResult, Column, Finding, Severity, Table

# A diagnosis is one per patient, so that pure subjects are normal. It is their number that decides: with fewer than
# five per label nothing tells the label from who they are, with fewer than fifteen little does.
FEW_SUBJECTS, SOME_SUBJECTS = 5, 15
# A handful of images of one lesion is ordinary.
MANY_IMAGES = 8
PURE = 0.98
# Pictures whose nearest neighbour is this like them, and nearly always has their label, are frames of one scene.
VERY_LIKE, SAME_LABEL = 0.95, 0.95
LEAST_LABELS = 2
BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Subjects:
    """Who each image is of, by some column or by file names; empty where unknown."""

    name: str
    values: NDArray[np.str_]
    inferred: bool = False


def run(context: AuditContext) -> CheckResult:
    """Ask of every column that may name subjects whether labels can be told from them."""
    cases = context.cases
    labels = _labels(cases, context.options.least_n)
    if len(labels) < LEAST_LABELS:
        raise CheckSkippedError(f"it takes two labels with {context.options.least_n} images each")
    known = subjects_of(cases)
    findings = [finding for item in known if (finding := _finding(cases, labels, item)) is not None]
    findings += _neighbours(context, labels)
    if not any(not item.inferred for item in known):
        message = "Not established: the data set does not say which images are of one patient."
        findings.append(Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message, n=len(cases)))
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method="For patients, groups, columns that name subjects, and what file names begin with, the subjects of "
        f"each label are counted. A label is taken for the name of its subjects where fewer than {FEW_SUBJECTS} of "
        f"them give all of its images, {MANY_IMAGES} or more each, and at least {PURE:.0%} of the images are of "
        "subjects with a single label. Besides, each picture's nearest neighbour in another group (correlation of 16 "
        "x 16 colour thumbnails, copies left out) is looked up: where it is nearly the same picture and nearly always "
        "has the same label, the set is made of few scenes.",
        references=("Kaufman 2012, doi:10.1145/2382577.2382579", "Saeb 2017, doi:10.1093/gigascience/gix019"),
        findings=tuple(findings),
        tables=tuple(_table(cases, labels, item) for item in known),
    )


def _labels(cases: AuditCases, least_n: int) -> list[str]:
    counts = Counter(cases.labels[cases.labelled].tolist())
    return [str(label) for label in sorted(counts) if counts[label] >= least_n]


def subjects_of(cases: AuditCases) -> list[Subjects]:
    """Return what may say who is who, each way of telling once."""
    found = []
    if cases.patients is not None:
        found.append(Subjects(cases.subject_name, cases.patients))
    if cases.groups_known and (cases.patients is None or not np.array_equal(cases.patients, cases.groups)):
        found.append(Subjects("group", cases.groups))
    for column in cases.columns:
        if column.kind == "category" and names_subjects(column.name):
            found.append(Subjects(column.name, np.asarray(column.values, np.str_)))
    if not found:
        prefixes = name_prefixes(cases)
        if len(set(prefixes.tolist())) > len(set(cases.labels.tolist())):
            found.append(Subjects("start of the file name", prefixes, inferred=True))
    return found


def name_prefixes(cases: AuditCases) -> NDArray[np.str_]:
    """Return each id without its last number: ``s03_0012`` is image 12 of ``s03``."""
    return np.array([re.sub(r"\d+[^\d]*$", "", str(name)).rstrip("_-. ") for name in cases.ids], np.str_)


def _finding(cases: AuditCases, labels: list[str], subjects: Subjects) -> Finding | None:
    known = (subjects.values != UNKNOWN) & np.isin(cases.labels, labels)
    if not known.any():
        return None
    of_subject: dict[str, Counter[str]] = {}
    for subject, label in zip(subjects.values[known].tolist(), cases.labels[known].tolist(), strict=True):
        of_subject.setdefault(subject, Counter())[label] += 1
    pure = sum(sum(counts.values()) for counts in of_subject.values() if len(counts) == 1) / known.sum()
    per_label = {label: [c[label] for c in of_subject.values() if c[label]] for label in labels}
    per_label = {label: sizes for label, sizes in per_label.items() if sizes}
    followed = [
        name for name, sizes in per_label.items() if len(sizes) < FEW_SUBJECTS and np.mean(sizes) >= MANY_IMAGES
    ]
    thin = [name for name, sizes in per_label.items() if len(sizes) < SOME_SUBJECTS and np.mean(sizes) >= MANY_IMAGES]
    if subjects.inferred and not followed:
        return None
    low, high = wilson_interval(float(pure), len(of_subject))
    severity, message = _verdict(subjects, per_label, float(pure), followed, thin)
    behind = followed or thin if severity is not Severity.OK else []
    rows = np.flatnonzero(known & np.isin(cases.labels, behind))
    return Finding(
        check=CHECK.id,
        severity=severity,
        message=message,
        column=subjects.name,
        label=followed[0] if len(followed) == 1 else "",
        effect=float(pure),
        effect_name="share of images of subjects with one label",
        ci_low=low,
        ci_high=high,
        n=int(known.sum()),
        cases=tuple(str(name) for name in cases.ids[rows][:MAX_CASES]),
        n_cases=len(rows),
    )


def _verdict(
    subjects: Subjects, per_label: dict[str, list[int]], pure: float, followed: list[str], thin: list[str]
) -> tuple[Severity, str]:
    name = shown(subjects.name)
    least = min(per_label, key=lambda label: len(per_label[label]))
    n_least = len(per_label[least])
    if pure < PURE:
        return (
            Severity.OK,
            f"Labels do not follow the {name}: {1 - pure:.0%} of the images are of one with several labels.",
        )
    if followed:
        counts = ", ".join(f"{shown(label)} {len(per_label[label])}" for label in followed[:6])
        what = (
            "labels follow the subject" if len(followed) > 1 else f"the label {shown(followed[0])} follows the subject"
        )
        return Severity.CRITICAL, sentence(
            f"{what} ({name}): each has one label, and so few give all images of a label ({counts}) that a model which "
            "recognises them cannot be told from one that sees the disease"
        )
    if thin:
        return Severity.WARNING, (
            f"Few subjects stand behind a label ({name}; {listed(thin)}: {n_least} at the least), with many images "
            "each: what looks like many cases are few."
        )
    return Severity.OK, (
        f"Each {name} has one label, as is usual; there are enough of them: {n_least:,} of {shown(least)} at the least."
    )


def _neighbours(context: AuditContext, labels: list[str]) -> list[Finding]:
    """Look up each picture's nearest neighbour in another group, copies left out."""
    facts, cases = context.facts, context.cases
    first = np.zeros(len(cases), bool)
    first[np.unique(facts.content, return_index=True)[1]] = True
    rows = np.flatnonzero(first & (facts.error == "") & np.isin(cases.labels, labels))
    if len(rows) < context.options.least_n:
        return []
    likeness, nearest = nearest_in_other_groups(facts.thumb[rows], cases.groups[rows])
    same = cases.labels[rows] == cases.labels[rows][nearest]
    chance = sum(float((cases.labels[rows] == label).mean()) ** 2 for label in labels)
    share, like = float(same.mean()), float(np.median(likeness))
    # Images of one group are no more evidence than one.
    low, high = wilson_interval(share, len(set(cases.groups[rows].tolist())))
    bad = low >= SAME_LABEL and like >= VERY_LIKE
    words = f"in {share:.1%} of the images ({low:.1%} to {high:.1%}; by chance {chance:.0%})"
    message = (
        f"Labels follow the scene: the nearest picture has the same label {words} and is nearly the same picture "
        f"(median correlation {like:.2f}). Images of a label look like frames of a few subjects."
        if bad
        else f"The nearest picture in another group has the same label {words}."
    )
    return [
        Finding(
            check=CHECK.id,
            severity=Severity.CRITICAL if bad else Severity.OK,
            message=message,
            column="nearest picture",
            effect=share,
            effect_name="share with the same label",
            no_effect=chance,
            ci_low=low,
            ci_high=high,
            n=len(rows),
        )
    ]


def nearest_in_other_groups(
    thumbs: NDArray[np.uint8], groups: NDArray[np.str_]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return each picture's largest correlation with a picture of another group, and which that is."""
    flat = thumbs.reshape(len(thumbs), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    _, index = np.unique(groups, return_inverse=True)
    likeness, nearest = np.empty(len(flat), np.float32), np.empty(len(flat), np.int64)
    for start in range(0, len(flat), BLOCK):
        part = flat[start : start + BLOCK] @ flat.T
        part[index[start : start + BLOCK, None] == index[None, :]] = -2
        nearest[start : start + BLOCK] = part.argmax(axis=1)
        likeness[start : start + BLOCK] = part.max(axis=1)
    return likeness, nearest


def _table(cases: AuditCases, labels: list[str], subjects: Subjects) -> Table:
    rows, behind = [], []
    for label in labels:
        members = np.flatnonzero((cases.labels == label) & (subjects.values != UNKNOWN))
        n = len(set(subjects.values[members].tolist()))
        rows.append((label, len(members), n, len(members) / max(n, 1)))
        behind.append(tuple(str(name) for name in cases.ids[members][:60]))
    titles = {"label": "Label", "n": "Images", "subjects": "Subjects", "each": "Images per subject"}
    return Table(
        key="subjects_" + re.sub(r"\W+", "_", subjects.name),
        title=f"Subjects of each label ({shown(subjects.name)})",
        columns=tuple(Column(key=key, title=title, decimals=1) for key, title in titles.items()),
        rows=tuple(rows),
        cases=tuple(behind),
    )


CHECK = Check("label_by_subject", "Labels and subjects", "Can the label be told from who it is?", run)

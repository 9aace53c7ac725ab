"""What the headers of DICOM files say of a data set: acquisition, subject, and nothing of the person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from whycad.audit.data.cases import AuditCases
from whycad.audit.data.cells import column_of
from whycad.imaging.many import read_many
from whycad.types import Study

KEY_SHOWN = 8
NOT_METADATA = ("format", "spacing_is_relative")


def with_headers(cases: AuditCases, files: Sequence[Path]) -> AuditCases:
    """Add the headers' facts as columns, and the subject as patient and, where none is known, as group.

    Subjects, devices and kernels are keyed hashes, so that they can be told apart and not be read. A
    file without a readable header has no facts; reading its picture says why.
    """
    headers = [found if isinstance(found, Study) else None for found in read_many(files, headers_only=True)]
    facts = [_facts(header) for header in headers]
    names = list(dict.fromkeys(name for fact in facts for name in fact))
    columns = [column_of(name, [fact.get(name, "") for fact in facts])[0] for name in names]
    subjects = [header.subject_key[:KEY_SHOWN] if header else "" for header in headers]
    known = cases.groups_known or any(subjects)
    groups = [subject or str(group) for subject, group in zip(subjects, cases.groups, strict=True)]
    return replace(
        cases,
        columns=(*cases.columns, *(column for column in columns if column is not None)),
        patients=np.array(subjects, np.str_) if any(subjects) else cases.patients,
        groups=cases.groups if cases.groups_known else np.array(groups, np.str_),
        groups_known=known,
    )


def _facts(header: Study | None) -> dict[str, object]:
    if header is None:
        return {}
    own = {"modality": header.modality, "laterality": header.laterality, "view": header.view}
    facts = {**own, **{name: value for name, value in header.metadata.items() if name not in NOT_METADATA}}
    shown = {name: str(value)[:KEY_SHOWN] if name.endswith("_key") else value for name, value in facts.items()}
    return {name.removesuffix("_key"): value for name, value in shown.items() if value != ""}

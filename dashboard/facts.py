"""A task and what is stored with it: the same for every session, nothing of a patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from whycad.audit.case_lines import AuditSummary, CaseLine, case_lines
from whycad.manifest import Manifest
from whycad.performance import Performance
from whycad.types import AnalysisResult, EvidenceLevel
from whycad.uncertainty.calibration import Calibration
from whycad.uncertainty.calibration_parts import StoredOperatingPoint


@dataclass(frozen=True)
class TaskFacts:
    """A task and its stored figures.

    Attributes
    ----------
    manifest : Manifest
    performance : Performance
    calibration : Calibration or None
        None where there is none or it is broken.
    method_sentences : mapping of str to str
        By explanation method, how it does over the calibration data; empty where nothing is stored.
    audit : AuditSummary or None
        What the latest audit of this task with these weights says of shortcuts; None where there is none.
    """

    manifest: Manifest
    performance: Performance
    calibration: Calibration | None = None
    method_sentences: Mapping[str, str] = field(default_factory=dict)
    audit: AuditSummary | None = None

    @property
    def operating_points(self) -> Mapping[str, StoredOperatingPoint]:
        """What the thresholds achieved on the calibration data."""
        return {} if self.calibration is None else self.calibration.operating_points

    @property
    def is_simulated(self) -> bool:
        """Whether the model was trained on simulated data."""
        return self.manifest.evidence_level is EvidenceLevel.SIMULATED

    def shortcuts(self, result: AnalysisResult) -> tuple[CaseLine, ...]:
        """Return what the audit says of this very image; empty where there is no audit, or nothing to say."""
        if self.audit is None:
            return ()
        names = {label.code: label.name for label in self.manifest.labels}
        return case_lines(self.audit, result.artefacts, result.metadata, lambda code: names.get(code, code))

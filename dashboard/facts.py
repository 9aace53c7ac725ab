"""A task and what is stored with it: the same for every session, nothing of a patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from whycad.manifest import Manifest
from whycad.performance import Performance
from whycad.types import EvidenceLevel
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
    """

    manifest: Manifest
    performance: Performance
    calibration: Calibration | None = None
    method_sentences: Mapping[str, str] = field(default_factory=dict)

    @property
    def operating_points(self) -> Mapping[str, StoredOperatingPoint]:
        """What the thresholds achieved on the calibration data."""
        return {} if self.calibration is None else self.calibration.operating_points

    @property
    def is_simulated(self) -> bool:
        """Whether the model was trained on simulated data."""
        return self.manifest.evidence_level is EvidenceLevel.SIMULATED

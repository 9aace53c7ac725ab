"""Reference distributions: where a measurement lies among the calibration cases of each label.

``whycad reference`` makes a task's file from calibration cases; the pipeline reads it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from whycad.errors import ManifestError
from whycad.types import Concept, Evidence, Measurement

if TYPE_CHECKING:
    from whycad.manifest import Manifest
    from whycad.plugin import Plugin

N_QUANTILES = 101
LEAST_CASES = 30
CENTRAL = (5, 95)
MAX_BYTES = 16 * 1024 * 1024
_NUMBERS = re.compile(r"\[\s+([-+0-9.eE,\s]+?)\s+\]")


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LabelDistribution(_Stored):
    """The values of one label's cases: 101 quantiles, none where there are fewer than 30 cases."""

    n: int = Field(ge=0)
    quantiles: tuple[float, ...] = ()

    @property
    def established(self) -> bool:
        """Whether there were enough cases to say where a value lies."""
        return self.n >= LEAST_CASES and len(self.quantiles) == N_QUANTILES

    def smaller(self, value: float) -> float:
        """Return the share of cases with a smaller value, 0..1, between quantiles by interpolation."""
        return _share_below(np.asarray(self.quantiles), value)

    def larger(self, value: float) -> float:
        """Return the share of cases with a larger value, 0..1."""
        return _share_below(-np.asarray(self.quantiles)[::-1], -value)


def _share_below(quantiles: NDArray[np.float64], value: float) -> float:
    above = int(np.searchsorted(quantiles, value, side="left"))
    if above in (0, len(quantiles)):
        return float(above > 0)
    low, high = quantiles[above - 1], quantiles[above]
    return float((above - 1 + (value - low) / (high - low)) / (len(quantiles) - 1))


class Distribution(_Stored):
    """One measurement or concept in the calibration cases, by label code."""

    name: str
    unit: str = ""
    labels: dict[str, LabelDistribution]

    def of(self, label: str) -> LabelDistribution | None:
        """Return a label's distribution; None where it is not established."""
        found = self.labels.get(label)
        return found if found is not None and found.established else None


class ReferenceSource(_Stored):
    """What the distributions were made of."""

    dataset: str
    selection: str
    n: int
    n_refused: int = 0
    simulated: bool = False
    weights_sha256: str
    evidence_model_sha256: str = ""


class Reference(_Stored):
    """A task's reference file.

    ``measurements`` are by key, ``concepts`` by name (expected ratings); ``readers`` holds, by concept
    and label, the central 90 % of radiologists' mean ratings.
    """

    schema_version: Literal[1] = 1
    source: ReferenceSource
    measurements: dict[str, Distribution] = Field(default_factory=dict)
    concepts: dict[str, Distribution] = Field(default_factory=dict)
    readers: dict[str, dict[str, tuple[float, float]]] = Field(default_factory=dict)


def distribution_of(values: NDArray[np.float64]) -> LabelDistribution:
    """Summarise the values ``(n,)`` of one label's cases."""
    if len(values) < LEAST_CASES:
        return LabelDistribution(n=len(values))
    quantiles = np.quantile(values, np.linspace(0, 1, N_QUANTILES))
    return LabelDistribution(n=len(values), quantiles=tuple(float(f"{q:.6g}") for q in quantiles))


def reference_text(reference: Reference) -> str:
    """Return a reference as JSON, every list of quantiles on a line of its own."""
    text = reference.model_dump_json(indent=1)
    return _NUMBERS.sub(lambda found: f"[{' '.join(found.group(1).split())}]", text) + "\n"


def read_reference(path: Path) -> Reference:
    """Read a reference file.

    Raises
    ------
    ManifestError
        When it is missing, too large or broken.
    """
    remedy = "make it with `whycad reference`"
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ManifestError(f"reference distributions {path.name!r} are larger than {MAX_BYTES} bytes")
        return Reference.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        kind = type(error).__name__
        raise ManifestError(f"reference distributions {path.name!r} cannot be read ({kind})", remedy=remedy) from error


@lru_cache(maxsize=16)
def _read_once(path: Path, _stamp: int) -> Reference:
    return read_reference(path)


def reference_of(plugin: Plugin) -> Reference | None:
    """Return a task's reference distributions; read again when the file changes.

    Returns
    -------
    Reference or None
        None where the manifest declares none, the file is missing, or it was made with other weights.

    Raises
    ------
    ManifestError
        When the file is broken.
    """
    path = plugin.reference_path()
    if path is None or not path.is_file():
        return None
    reference = _read_once(path, path.stat().st_mtime_ns)
    return reference if fits(reference, plugin) else None


def fits(reference: Reference, plugin: Plugin) -> bool:
    """Whether a reference was made with the plugin's present weights."""
    model = plugin.manifest.evidence_model
    made = (reference.source.weights_sha256, reference.source.evidence_model_sha256)
    return made == (plugin.weights_sha256, "" if model is None else model.sha256)


def range_label(manifest: Manifest) -> str:
    """Return the label whose central range is shown: the one named, or the first of the least severe."""
    if manifest.reference is not None and manifest.reference.range_label is not None:
        return manifest.reference.range_label
    return min(manifest.labels, key=lambda label: label.severity).code


def with_places(evidence: Evidence, reference: Reference | None, manifest: Manifest) -> Evidence:
    """Add to measurements and concepts where they lie among the calibration cases of each label."""
    if reference is None:
        return evidence
    benign = range_label(manifest)
    placed = tuple(_placed(item, reference, benign) for item in evidence.measurements)
    concepts = tuple(_placed_concept(item, reference) for item in evidence.concepts)
    return replace(evidence, measurements=placed, concepts=concepts)


def _placed(item: Measurement, reference: Reference, benign: str) -> Measurement:
    known = reference.measurements.get(item.key)
    if known is None:
        return item
    usual = known.of(benign)
    span = item.reference_range
    if usual is not None:
        low, high = (usual.quantiles[index] * item.scale for index in CENTRAL)
        span = (low, high)
    return replace(item, percentiles=_percentiles(known, item.reference_value), reference_range=span)


def _placed_concept(item: Concept, reference: Reference) -> Concept:
    known = reference.concepts.get(item.name)
    readers = reference.readers.get(item.name, {})
    return replace(item, percentiles=_percentiles(known, item.expected) if known else {}, readers=dict(readers))


def _percentiles(known: Distribution, value: float) -> dict[str, float]:
    """Return the percentile by label, of the labels whose distribution is established."""
    return {code: 100 * found.smaller(value) for code in known.labels if (found := known.of(code)) is not None}

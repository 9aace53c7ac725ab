"""How unlike the calibration data an image is: one gate from several scores.

Each score (see ``SCORES``) is turned into a surprise, minus the logarithm of the share of
calibration images that are at least as strange, so that scores of different units can be
compared; the gate's score is the root of the sum of their squares: one large surprise is enough,
and several moderate ones add up. Everything is fitted on calibration data alone (``ood_fit.py``),
no strange image is needed.

References
----------
Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples, NeurIPS 2018.
Ren et al., A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection, 2021.
Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022.
Liu et al., Energy-based Out-of-distribution Detection, NeurIPS 2020.
Wang et al., ViM: Out-Of-Distribution with Virtual-logit Matching, CVPR 2022 (residual).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from whycad.types import OutOfDistribution
from whycad.uncertainty.packed import Packed

FloatArray = NDArray[np.float64]
ScoreName = Literal["distance", "residual", "class_distance", "neighbours", "energy", "strange"]
# How ``OutOfDistribution.method`` names the score that led; ``words.py`` has the reader's sentence.
SCORES: Mapping[str, str] = {
    "distance": "Mahalanobis distance of the members' features",
    "residual": "features outside the space of the calibration images",
    "class_distance": "distance to the nearest class, relative to all",
    "neighbours": "distance to the nearest calibration images",
    "energy": "energy of the logits",
    "strange": "the task's own score",
}
METHOD = SCORES["distance"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OodReference(_Frozen):
    """A gate of one score, as version 1.0.0 of the skin task stored it; new fits give an ``OodGate``.

    Attributes
    ----------
    projection : tuple of tuple of float (p, d)
        Rows map standardised features to uncorrelated coordinates of unit variance.
    centre, scale : tuple of float (d,)
        Of the features.
    quantiles : tuple of float (101,)
        Percentiles of the score on calibration cases left out of the fit.
    refer_above, reject_above : float
        Scores above which a case is referred, and refused.
    """

    projection: tuple[tuple[float, ...], ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    quantiles: tuple[float, ...] = Field(min_length=101, max_length=101)
    refer_above: float
    reject_above: float

    @cached_property
    def _arrays(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return np.asarray(self.projection), np.asarray(self.centre), np.asarray(self.scale)

    def score(self, features: FloatArray) -> FloatArray:
        """Return the distance ``(n,)`` of features ``(n, d)``."""
        projection, centre, scale = self._arrays
        return np.asarray(np.linalg.norm(((features - centre) / scale) @ projection.T, axis=1))

    def percentile(self, score: float) -> float:
        """Return the share (0..100) of calibration cases with a smaller score."""
        return percentile_among(self.quantiles, score)


class FeatureSpace(_Frozen):
    """What calibration images look like in the members' features.

    Attributes
    ----------
    centre, scale : Packed (d,)
        Mean and standard deviation of the features.
    components : Packed (p, d)
        Orthonormal rows: the principal directions of the standardised features.
    whiten : Packed (p, p)
        Makes the projected features uncorrelated and of unit variance.
    class_means : Packed (c, p)
        Per class with enough cases, whitened; empty where no label was known.
    class_whiten : Packed (p, p)
        Makes the scatter within classes, of whitened features, of unit variance.
    neighbours : Packed (r, p)
        Some of the calibration images: projected, length 1.
    n_neighbours : int
        The score is the mean distance to this many.
    """

    centre: Packed
    scale: Packed
    components: Packed
    whiten: Packed
    class_means: Packed
    class_whiten: Packed
    neighbours: Packed
    n_neighbours: int = Field(ge=1)

    def scores(self, features: FloatArray) -> dict[str, FloatArray]:
        """Return each score ``(n,)`` of features ``(n, d)``; larger is stranger."""
        standard = (features - self.centre.array) / self.scale.array
        projected = standard @ self.components.array.T
        white = projected @ self.whiten.array.T
        outside = np.sum(standard**2, axis=1) - np.sum(projected**2, axis=1)
        found = {
            "distance": np.linalg.norm(white, axis=1),
            "residual": np.sqrt(np.clip(outside, 0, None)),
            "neighbours": self._to_neighbours(projected),
        }
        if len(self.class_means.array):
            found["class_distance"] = self._to_classes(white)
        return found

    def _to_neighbours(self, projected: FloatArray) -> FloatArray:
        unit = unit_length(projected)
        nearness = np.sort(unit @ self.neighbours.array.T, axis=1)[:, -self.n_neighbours :]
        return np.asarray(np.sqrt(np.clip(2.0 - 2.0 * nearness, 0, None)).mean(axis=1))

    def _to_classes(self, white: FloatArray) -> FloatArray:
        """Return the distance to the nearest class relative to that to the middle of all (Ren 2021).

        The difference of squares, its root taken so that it grows like the other distances.
        """
        spread = self.class_whiten.array
        apart = white[:, None] - self.class_means.array[None]
        to_class = np.sum((apart @ spread.T) ** 2, axis=2).min(axis=1)
        relative = to_class - np.sum(white**2, axis=1)
        return np.asarray(np.sign(relative) * np.sqrt(np.abs(relative)))


class Tail(_Frozen):
    """How rare a value of one score is among calibration images.

    Attributes
    ----------
    values : tuple of float (q,)
        Of the score, ascending; the last is its 95th percentile or so.
    surprise : tuple of float (q,)
        Minus log of the share of calibration images at least as strange; ascending.
    scale : float
        Mean excess above the last value: beyond it the tail is taken to be exponential.
    """

    values: tuple[float, ...] = Field(min_length=2)
    surprise: tuple[float, ...] = Field(min_length=2)
    scale: float = Field(gt=0)

    def of(self, scores: FloatArray) -> FloatArray:
        """Return the surprise of scores of any shape, at least 0."""
        within = np.interp(scores, self.values, self.surprise)
        return np.asarray(within + np.clip(scores - self.values[-1], 0, None) / self.scale)


@dataclass(frozen=True, eq=False)
class Observed:
    """What an ensemble gave for n images.

    Attributes
    ----------
    logits : ndarray (m, v, n, k)
        Of each member and test-time view.
    features : ndarray (n, d) or None
        The members' features side by side.
    strange : ndarray (n,) or None
        The plugin's own score; larger is stranger.
    """

    logits: FloatArray
    features: FloatArray | None = None
    strange: FloatArray | None = None


class OodGate(_Frozen):
    """The gate.

    Attributes
    ----------
    space : FeatureSpace or None
        None where the members give no features.
    tails : dict of str to Tail
        Per score that the gate looks at.
    quantiles : tuple of float (101,)
        Percentiles of the gate's score on calibration images, cross-fitted.
    refer_above : float
        Exceeded by 5 % of calibration images.
    reject_above : float
        Exceeded by about one in a thousand, by an exponential tail.
    """

    space: FeatureSpace | None
    tails: dict[ScoreName, Tail]
    quantiles: tuple[float, ...] = Field(min_length=101, max_length=101)
    refer_above: float
    reject_above: float

    def surprises(self, observed: Observed) -> dict[str, FloatArray]:
        """Return the surprise ``(n,)`` of every score that is at hand."""
        scores = raw_scores(self.space, observed)
        return {name: tail.of(scores[name]) for name, tail in self.tails.items() if name in scores}

    def score(self, features: FloatArray) -> FloatArray:
        """Return the gate's score ``(n,)`` from features ``(n, d)`` alone."""
        scores = {} if self.space is None else self.space.scores(features)
        found = [tail.of(scores[name]) for name, tail in self.tails.items() if name in scores]
        return combined(found) if found else np.zeros(len(features))

    def percentile(self, score: float) -> float:
        """Return the share (0..100) of calibration cases with a smaller score."""
        return percentile_among(self.quantiles, score)


def raw_scores(space: FeatureSpace | None, observed: Observed) -> dict[str, FloatArray]:
    """Return every score ``(n,)`` that can be computed, in its own unit."""
    found = {"energy": energy(observed.logits)}
    if observed.strange is not None:
        found["strange"] = np.asarray(observed.strange, np.float64)
    if space is not None and observed.features is not None:
        found |= space.scores(observed.features)
    return found


def energy(logits: FloatArray) -> FloatArray:
    """Return minus the log of summed exponentials, mean over members and views, ``(n,)``."""
    top = logits.max(axis=-1)
    whole = top + np.log(np.exp(logits - top[..., None]).sum(axis=-1))
    return np.asarray(-whole.mean(axis=(0, 1)))


def unit_length(rows: FloatArray) -> FloatArray:
    """Return rows ``(n, p)`` scaled to length 1; a row of zeros stays."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1.0))


def percentile_among(quantiles: tuple[float, ...], value: float) -> float:
    """Return the share (0..100) of 101 stored percentiles below a value."""
    return float(np.searchsorted(quantiles, value, side="left") / len(quantiles) * 100)


def assess(observed: Observed, reference: OodGate | OodReference | None) -> list[OutOfDistribution | None]:
    """Return the gate's finding per image; None where the plugin has no gate or no features for it.

    ``method`` names the score that led; ``words.gate_sentence`` turns that into a sentence.
    """
    n = observed.logits.shape[2]
    if reference is None or (isinstance(reference, OodReference) and observed.features is None):
        return [None] * n
    if isinstance(reference, OodGate):
        return [*findings(reference.surprises(observed), reference)]
    assert observed.features is not None
    return [
        OutOfDistribution(score, reference.percentile(score), reference.refer_above, METHOD)
        for score in reference.score(observed.features).tolist()
    ]


def findings(surprises: Mapping[str, FloatArray], gate: OodGate) -> list[OutOfDistribution]:
    """Return the gate's finding per image from the surprise ``(n,)`` of each score."""
    names, values = list(surprises), np.stack(list(surprises.values()))
    led = values.argmax(axis=0)
    return [
        OutOfDistribution(score, gate.percentile(score), gate.refer_above, SCORES[names[leader]])
        for score, leader in zip(combined(values).tolist(), led, strict=True)
    ]


def combined(surprises: Sequence[FloatArray] | FloatArray) -> FloatArray:
    """Return one score ``(n,)`` from the surprises ``(n,)`` of several scores."""
    return np.asarray(np.sqrt(np.sum(np.square(surprises), axis=0)))

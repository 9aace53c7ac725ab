"""What stands beside a prediction: maps, measurements, concepts and outlines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from whycad.study_types import FloatArray, MetadataValue


def _mean(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else (first + second) / 2


@dataclass(frozen=True)
class Fidelity:
    """How far a map can be trusted; every figure is None where it was not measured.

    Gains are shares of the span: the largest less the smallest score over the reference orderings.

    Attributes
    ----------
    convergence_delta : float or None
        Integrated gradients, GradientSHAP: sum of the map less the change in output, relative to
        the change.
    local_r2 : float or None
        LIME, KernelSHAP: weighted R2 of the linear surrogate.
    n_samples : int or None
        Model evaluations spent.
    mass_inside : float or None
        Share of positive mass inside the region or mask.
    grade : str
        ``A``, ``B``, ``C``, ``fails`` or empty where not graded yet.
    remarks : tuple of str
        Sentences for the reader: the grade's reasons, then what the method says itself.
    deletion_auc, insertion_auc : float or None
        Mean score of the target while cells are hidden, or shown, the map's largest first.
    span : float or None
        How much the score of the target moves at all when parts of the image are hidden.
    deletion_gain_random, insertion_gain_random : float or None
        How much faster the score falls, or rises, than in random order.
    deletion_gain_edges, insertion_gain_edges : float or None
        The same against the order of an edge detector.
    randomised_similarity : float or None
        Rank correlation of one member's map with that after its weights were drawn anew, -1..1.
    randomised_ssim : float or None
        Structural similarity of the same two maps, -1..1.
    stability : float or None
        Rank correlation of one member's map with that of a slightly noisy image under another seed.
    sensitivity : float or None
        Largest relative change of the map under that noise.
    infidelity : float or None
        Share (0..1) of the score's changes under hiding that the map's sums do not follow.
    agreement : float or None
        Mean rank correlation with the case's other maps of the same target.
    inside_of : str
        Name of the segmentation that ``mass_inside`` is about; empty for none.
    mass_shifted : float or None
        ``mass_inside`` of the same map shifted to other places, on average.
    peak_inside : bool or None
        Whether the map's largest value lies inside.
    """

    convergence_delta: float | None = None
    local_r2: float | None = None
    n_samples: int | None = None
    mass_inside: float | None = None
    grade: str = ""
    remarks: tuple[str, ...] = ()
    deletion_auc: float | None = None
    insertion_auc: float | None = None
    span: float | None = None
    deletion_gain_random: float | None = None
    insertion_gain_random: float | None = None
    deletion_gain_edges: float | None = None
    insertion_gain_edges: float | None = None
    randomised_similarity: float | None = None
    randomised_ssim: float | None = None
    stability: float | None = None
    sensitivity: float | None = None
    infidelity: float | None = None
    agreement: float | None = None
    inside_of: str = ""
    mass_shifted: float | None = None
    peak_inside: bool | None = None

    @property
    def gain_over_random(self) -> float | None:
        """Mean of the deletion and insertion gains over random orderings; 0 is no better than chance."""
        return _mean(self.deletion_gain_random, self.insertion_gain_random)

    @property
    def gain_over_edges(self) -> float | None:
        """Mean of the deletion and insertion gains over an edge detector."""
        return _mean(self.deletion_gain_edges, self.insertion_gain_edges)


@dataclass(frozen=True, eq=False)
class Attribution:
    """A map of what mattered to the output for one label; never a localisation.

    Attributes
    ----------
    method : str
        Method id: a key of ``whycad.explain.METHODS``, such as ``gradcam`` or ``lime``.
    target : str
        What was explained: a label code, or a boundary or contrast as ``whycad.targets`` writes it.
    map : ndarray of float32
        On the source's spatial grid.
    signed : bool
        Whether negative values mean "against".
    parameters : mapping
        Everything needed to make it again.
    seed : int
    fidelity : Fidelity
    disagreement : ndarray of float32 or None
        On the same grid: standard deviation over the members of their own maps, each divided by
        its largest magnitude; 0 where they agree, at most 1. None of one member, or where the
        method does not tell members apart.
    """

    method: str
    target: str
    map: FloatArray
    signed: bool
    parameters: Mapping[str, MetadataValue] = field(default_factory=dict)
    seed: int = 0
    fidelity: Fidelity = field(default_factory=Fidelity)
    disagreement: FloatArray | None = None


@dataclass(frozen=True)
class Measurement:
    """A number taken from the image.

    Attributes
    ----------
    name, unit : str
    value : float
    reference_range : tuple of float or None
        Central range in the calibration data.
    method : str
        How it was measured.
    key : str
        Stable id within the task, such as ``border_irregularity``.
    outline : str
        Name of the segmentation that it was measured on; empty where there is none.
    percentiles : mapping of str to float
        By label code, the share (0..100) of calibration cases of that label with a smaller value.
    scale : float
        How much of ``unit`` one unit of the reference distributions is in this image, such as pixels per
        row of the model's grid.
    """

    name: str
    value: float
    unit: str
    reference_range: tuple[float, float] | None = None
    method: str = ""
    key: str = ""
    outline: str = ""
    percentiles: Mapping[str, float] = field(default_factory=dict)
    scale: float = 1.0

    @property
    def reference_value(self) -> float:
        """The value in the unit of the reference distributions."""
        return self.value / self.scale


@dataclass(frozen=True)
class Finding:
    """One sentence of the line of argument.

    Attributes
    ----------
    sentence : str
        For the reader, generated from the numbers.
    speaks_for : bool
        For the leading label, rather than against it.
    strength : float
        0..1, what the findings are sorted by.
    source : str
        ``measurement``, ``concept``, ``map`` or ``conflict``: what it was generated from.
    key : str
        Of the measurement, concept or method.
    outline : str
        Name of the segmentation that shows it; empty where there is none.
    """

    sentence: str
    speaks_for: bool
    strength: float
    source: str
    key: str = ""
    outline: str = ""


@dataclass(frozen=True)
class SimilarCase:
    """A case of the reference set whose features lie near.

    Attributes
    ----------
    reference : str
        Its id in the reference set, by which a thumbnail is found; tells nothing of a patient.
    label : str
        Code of its known label.
    distance : float
        Cosine distance of the members' features, 0..2.
    percentile : float
        Share (0..100) of distances between reference cases of this label and their nearest ones
        that are smaller.
    role : str
        ``leading``, ``runner_up`` or ``must_not_miss``: why it is shown.
    """

    reference: str
    label: str
    distance: float
    percentile: float
    role: str


@dataclass(frozen=True)
class Concept:
    """A descriptor that radiologists use, as a distribution over their ratings.

    Attributes
    ----------
    name : str
        Such as ``spiculation``.
    question : str
        What was asked, for the reader.
    levels : tuple of str
        What each rating means, lowest first.
    probabilities : tuple of float
        One per level, 0..1, adding up to 1.
    percentiles : mapping of str to float
        By label code, the share (0..100) of calibration cases of that label whose expected rating is lower.
    readers : mapping of str to (float, float)
        By label code, the central 90 % of radiologists' own mean ratings, where they are known.
    """

    name: str
    question: str
    levels: tuple[str, ...]
    probabilities: tuple[float, ...]
    percentiles: Mapping[str, float] = field(default_factory=dict)
    readers: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def expected(self) -> float:
        """Mean rating, 1 for the first level."""
        return float(sum(number * p for number, p in enumerate(self.probabilities, start=1)))


@dataclass(frozen=True, eq=False)
class Segmentation:
    """An outline that the model drew.

    Attributes
    ----------
    name : str
        Such as ``nodule`` or ``fluid``.
    mask : ndarray of bool
        On the source's spatial grid.
    method : str
        How it was drawn.
    """

    name: str
    mask: NDArray[np.bool_]
    method: str


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a plugin's ``evidence`` function found in one image."""

    measurements: tuple[Measurement, ...] = ()
    concepts: tuple[Concept, ...] = ()
    segmentations: tuple[Segmentation, ...] = ()

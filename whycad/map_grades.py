"""What a task has stored about its maps: the thresholds of the grades, and how each method fares.

Plugins keep both in ``explanations.json``, named in the manifest as ``[explain] grades``; the command
``whycad explanations`` writes it. Nothing here needs torch, so that pages may read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from whycad.errors import ManifestError
from whycad.manifest import Manifest
from whycad.plugin import Plugin

MAX_BYTES = 1024 * 1024
FEWEST_CASES = 10

Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Hidden = Literal["blur", "baseline"]
Correlation = Annotated[float, Field(ge=-1, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Thresholds(_Section):
    """Where a map's grade changes.

    The defaults hold for a task that stores none. Those of the gains are about what other images'
    maps gain where the truth is planted (``whycad.testing.planted_maps``): 75 % of them less than a
    B needs, 95 % less than an A.

    Attributes
    ----------
    hidden : {"blur", "baseline"}
        What hidden cells become while curves are drawn.
    least_span : float
        A score that moves less than this when parts of the image are hidden cannot test a map: it fails.
    fair_gain, good_gain : float
        Gain over random orderings that is wanted for a B and for an A. A map that gains no more than
        0 over random orderings or over edges fails whatever is stored.
    most_similar : float
        A map whose rank correlation with that of a random network is this high fails.
    fair_stability, good_stability : float
        Rank correlation with a noisy repeat that is wanted for a B and for an A.
    fair_delta, good_delta : float
        Relative convergence error up to which a map may have a B and an A.
    good_r2 : float
        Weighted R2 of the surrogate that is wanted for an A.
    """

    hidden: Hidden = "blur"
    least_span: Finite = Field(default=0.05, ge=0)
    fair_gain: Finite = Field(default=0.05, ge=0)
    good_gain: Finite = Field(default=0.15, ge=0)
    most_similar: Correlation = 0.6
    fair_stability: Correlation = 0.4
    good_stability: Correlation = 0.7
    fair_delta: Finite = Field(default=0.25, ge=0)
    good_delta: Finite = Field(default=0.05, ge=0)
    good_r2: Correlation = 0.3


class Figure(_Section):
    """A mean over cases, with its 95 % interval by bootstrap over groups where there are two at least."""

    value: Finite
    interval: tuple[Finite, Finite] | None = None


class InsideFigures(_Section):
    """How a method's maps lie to the outlines.

    Attributes
    ----------
    n : int
        Cases with an outline.
    mass_ratio, mass_ratio_shifted : Figure
        Mean share of the map's mass inside over the mean share of the view that the outline takes; 1 is chance.
    peak_inside, peak_inside_shifted : Figure
        Share of cases whose largest value lies inside.
    """

    n: int = Field(ge=0)
    mass_ratio: Figure
    mass_ratio_shifted: Figure
    peak_inside: Figure
    peak_inside_shifted: Figure


class MethodFigures(_Section):
    """How one method fared over a task's cases.

    Attributes
    ----------
    n, n_failed : int
        Cases, and how many of the maps fail.
    deletion_random, insertion_random, deletion_edges, insertion_edges : Figure
        Gains over random orderings and over an edge detector, in shares of the span.
    similarity : tuple of Figure
        Rank correlation of a map with those of the network with more and more of its layers randomised.
    shares : tuple of float
        Those shares of the layers.
    passes_randomisation : bool
        Whether the last similarity's mean is below the threshold.
    stability : Figure or None
    inside : InsideFigures or None
    grades : mapping of str to int
        Cases by grade.
    """

    n: int = Field(ge=1)
    n_failed: int = Field(ge=0)
    deletion_random: Figure
    insertion_random: Figure
    deletion_edges: Figure
    insertion_edges: Figure
    similarity: tuple[Figure, ...] = ()
    shares: tuple[Share, ...] = ()
    passes_randomisation: bool = True
    stability: Figure | None = None
    inside: InsideFigures | None = None
    grades: Mapping[str, int] = Field(default_factory=dict)


class Provenance(_Section):
    """What the figures were made with."""

    weights_sha256: str
    report_on: str
    calibrated_on: str
    n_calibration: int = Field(ge=0)
    n_report: int = Field(ge=0)
    seed: int = 0
    command: str = ""


class MapGrades(_Section):
    """A whole ``explanations.json``.

    Attributes
    ----------
    thresholds : Thresholds
    inside_of : str
        What the outlines are of, such as ``lesion``; empty where there are none.
    inside_cases : str
        How the cases with outlines are named in a sentence, such as ``re-cropped lesions``.
    methods : mapping of str to MethodFigures
    source : Provenance
    """

    format: Literal["whycad-explanations-1"] = "whycad-explanations-1"
    thresholds: Thresholds = Thresholds()
    inside_of: str = ""
    inside_cases: str = ""
    methods: Mapping[str, MethodFigures] = Field(default_factory=dict)
    source: Provenance | None = None


NOTHING = MapGrades()


def grades_path(plugin: Plugin) -> Path | None:
    """Return the file that the manifest names, or None; it may not exist."""
    name = plugin.manifest.explain.grades
    return plugin.folder / name if name else None


def map_grades_of(plugin: Plugin) -> MapGrades:
    """Return what a task stores about its maps; defaults and no figures where it stores nothing for these weights.

    Raises
    ------
    ManifestError
        When the file is there and broken.
    """
    path = grades_path(plugin)
    if path is None or not path.is_file():
        return NOTHING
    stored = _read_once(path, path.stat().st_mtime_ns)
    if stored.source is not None and stored.source.weights_sha256 != plugin.weights_sha256:
        return NOTHING
    return stored


@lru_cache(maxsize=16)
def _read_once(path: Path, _stamp: int) -> MapGrades:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ManifestError(f"{path.name!r} is larger than {MAX_BYTES} bytes")
        return MapGrades.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ManifestError(
            f"{path.parent.name}/{path.name} cannot be read ({type(error).__name__})",
            remedy="make it anew with `whycad explanations`",
        ) from error


def method_sentence(stored: MapGrades, method: str, name: str) -> str:
    """Say how a method fares for a task.

    Parameters
    ----------
    stored : MapGrades
    method : str
        Method id.
    name : str
        The method for the reader.

    Returns
    -------
    str
        Such as ``Grad-CAM for this task: passes randomisation, peak inside the lesion in 83 % of
        re-cropped lesions``; empty where nothing is stored.
    """
    figures = stored.methods.get(method)
    if figures is None:
        return ""
    if figures.n < FEWEST_CASES:
        return f"{name} for this task: not established ({figures.n} cases)"
    parts = []
    if figures.similarity:
        parts.append("passes randomisation" if figures.passes_randomisation else "fails randomisation")
    edges = (figures.deletion_edges.value + figures.insertion_edges.value) / 2
    parts.append("beats an edge detector" if edges > 0 else "is no better than an edge detector")
    if figures.inside is not None and figures.inside.n >= FEWEST_CASES:
        share = f"{100 * figures.inside.peak_inside.value:.0f} %"
        parts.append(f"peak inside the {stored.inside_of} in {share} of {stored.inside_cases}")
    return f"{name} for this task: {', '.join(parts)}"


def method_sentences(plugin: Plugin, names: Mapping[str, str]) -> dict[str, str]:
    """Return one sentence per method that the task stores figures of, the manifest's methods first.

    Parameters
    ----------
    plugin : Plugin
    names : mapping of str to str
        Method id to its name for the reader, such as ``whycad.wording.METHOD_NAMES``.

    Raises
    ------
    ManifestError
        When the stored file is broken.
    """
    stored = map_grades_of(plugin)
    order = dict.fromkeys((*_offered(plugin.manifest), *stored.methods))
    found = {method: method_sentence(stored, method, names.get(method, method)) for method in order}
    return {method: sentence for method, sentence in found.items() if sentence}


def _offered(manifest: Manifest) -> tuple[str, ...]:
    return manifest.explain.methods

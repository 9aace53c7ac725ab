"""Whether maps look at the lesion, or just at the middle, where most lesions are.

Images are cropped so that the lesion lies at a random place. The share of a map's positive mass
inside the lesion, over the share of the image that the lesion takes, is then compared with two
maps that know nothing of this image: another image's map, and a Gaussian about the centre.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import Estimate, GroupBootstrap, Statistic
from whycad.errors import DatasetError
from whycad.imaging.geometry import resize_geometry, sample_to_model
from whycad.types import FloatArray

Box = tuple[int, int, int, int]
Mask = NDArray[np.bool_]

MASS_RATIO_BOUND = 1.5
PEAK_BOUND = 0.7
GAUSSIAN_SIGMA = 0.25
N_SWAPS = 5
CONTROLS = ("swapped", "gaussian")


@dataclass(frozen=True)
class CropOptions:
    """How images are re-cropped.

    Attributes
    ----------
    smallest, largest : float
        Range of the crop's sides as a share of the image's; the aspect ratio is kept.
    margin : float
        The lesion's centroid is drawn evenly over the crop less this share at each edge.
    inside : float
        Share of the lesion's area that must stay inside the crop.
    largest_area : float
        Share of the crop that the lesion may fill: one that fills it all lies at no place.
    tries : int
        Crops drawn before an image is given up.
    """

    smallest: float = 0.5
    largest: float = 0.7
    margin: float = 0.1
    inside: float = 0.75
    largest_area: float = 0.4
    tries: int = 200


@dataclass(frozen=True, eq=False)
class FocusCase:
    """One image's map beside its lesion, on the same grid.

    Attributes
    ----------
    map : ndarray of float32 (H, W)
        Its positive part counts.
    mask : ndarray of bool (H, W)
    group : str
        Lesion or patient, for the bootstrap.
    """

    map: FloatArray
    mask: Mask
    group: str


@dataclass(frozen=True)
class Control:
    """The same figures for a map that knows nothing of the image, and the paired gain over it."""

    mass_ratio: Estimate
    peak_inside: Estimate
    mass_ratio_gain: Estimate
    peak_inside_gain: Estimate


@dataclass(frozen=True)
class FocusReport:
    """What ``focus_report`` finds.

    Attributes
    ----------
    n_images, n_groups, n_empty : int
        ``n_empty`` maps had no positive mass at all and count as looking elsewhere.
    mean_area : float
        Mean share of the crop that the lesion takes.
    mass_ratio : Estimate
        Mean share of positive mass inside the lesion over ``mean_area``; 1 is chance.
    peak_inside : Estimate
        Share of maps whose largest value lies inside the lesion.
    controls : mapping of str to Control
        ``swapped`` and ``gaussian``.
    checks : mapping of str to bool
    """

    n_images: int
    n_groups: int
    n_empty: int
    mean_area: float
    mass_ratio: Estimate
    peak_inside: Estimate
    controls: Mapping[str, Control] = field(default_factory=dict)
    checks: Mapping[str, bool] = field(default_factory=dict)

    @property
    def passes(self) -> bool:
        """Whether every check holds."""
        return all(self.checks.values())


def random_crop(mask: Mask, rng: np.random.Generator, options: CropOptions) -> Box | None:
    """Draw a crop that keeps the aspect ratio and most of the lesion.

    Parameters
    ----------
    mask : ndarray of bool (H, W)
    rng : numpy.random.Generator
    options : CropOptions

    Returns
    -------
    (int, int, int, int) or None
        First row and column, end row and column; None where no draw fits.
    """
    height, width = mask.shape
    total = int(mask.sum())
    centroid = np.argwhere(mask).mean(axis=0) if total else np.zeros(2)
    for _ in range(options.tries if total else 0):
        share = rng.uniform(options.smallest, options.largest)
        h, w = max(1, round(share * height)), max(1, round(share * width))
        row, column = (
            np.rint(centroid - rng.uniform(options.margin, 1 - options.margin, 2) * (h, w)).astype(int).tolist()
        )
        if row < 0 or column < 0 or row + h > height or column + w > width:
            continue
        kept = int(mask[row : row + h, column : column + w].sum())
        if options.inside * total <= kept <= options.largest_area * h * w:
            return row, column, row + h, column + w
    return None


def enlarged_mask(mask: Mask, shape: tuple[int, int]) -> Mask:
    """Repeat a mask's pixels to a grid of another size, pixel centres on pixel centres."""
    rows, columns = (
        np.minimum(((np.arange(n) + 0.5) * m / n).astype(np.int64), m - 1)
        for n, m in zip(shape, mask.shape, strict=True)
    )
    return np.asarray(mask[np.ix_(rows, columns)], dtype=np.bool_)


def focus_report(cases: Sequence[FocusCase], *, seed: int = 0, n_bootstrap: int = 2000) -> FocusReport:
    """Measure maps against lesions, with controls.

    Parameters
    ----------
    cases : sequence of FocusCase
        Of at least two groups.
    seed : int
        For the swaps and the bootstrap.
    n_bootstrap : int

    Raises
    ------
    DatasetError
        When there are fewer than two groups.
    """
    bootstrap = GroupBootstrap([case.group for case in cases], n_bootstrap, seed)
    if bootstrap.n_groups < 2:
        raise DatasetError("maps can only be compared between images of at least two lesions or patients")
    columns = _columns(cases, np.random.default_rng(seed))
    found = bootstrap.estimate(_statistics(columns))
    controls = {
        name: Control(*(found[f"{name} {part}"] for part in ("ratio", "peak", "ratio gain", "peak gain")))
        for name in CONTROLS
    }
    return FocusReport(
        n_images=len(cases),
        n_groups=bootstrap.n_groups,
        n_empty=sum(not (case.map > 0).any() for case in cases),
        mean_area=float(columns["area"].mean()),
        mass_ratio=found["own ratio"],
        peak_inside=found["own peak"],
        controls=controls,
        checks=_checks(found["own ratio"], found["own peak"], controls),
    )


def _statistics(columns: Mapping[str, NDArray[np.float64]]) -> dict[str, Statistic]:
    """Return every figure as a function of weights ``(b, n)``; gains are paired."""

    def ratio(name: str) -> Statistic:
        return lambda weights: (weights @ columns[f"{name} mass"]) / (weights @ columns["area"])

    def peak(name: str) -> Statistic:
        return lambda weights: (weights @ columns[f"{name} peak"]) / weights.sum(axis=1)

    def gain(figure: Callable[[str], Statistic], name: str) -> Statistic:
        return lambda weights: figure("own")(weights) - figure(name)(weights)

    statistics = {f"{name} ratio": ratio(name) for name in ("own", *CONTROLS)}
    statistics |= {f"{name} peak": peak(name) for name in ("own", *CONTROLS)}
    statistics |= {f"{name} ratio gain": gain(ratio, name) for name in CONTROLS}
    return statistics | {f"{name} peak gain": gain(peak, name) for name in CONTROLS}


def _checks(mass_ratio: Estimate, peak: Estimate, controls: Mapping[str, Control]) -> dict[str, bool]:
    checks = {
        f"mass ratio >= {MASS_RATIO_BOUND}": mass_ratio.value >= MASS_RATIO_BOUND,
        f"peak inside >= {PEAK_BOUND:.0%}": peak.value >= PEAK_BOUND,
    }
    for name, control in controls.items():
        checks[f"mass ratio beats {name}"] = _above_zero(control.mass_ratio_gain)
        checks[f"peak inside beats {name}"] = _above_zero(control.peak_inside_gain)
    return checks


def _above_zero(gain: Estimate) -> bool:
    return gain.interval is not None and gain.interval[0] > 0


def _columns(cases: Sequence[FocusCase], rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Return per-image figures ``(n,)``: lesion area, and mass and peak of each kind of map."""
    groups = np.array([case.group for case in cases])
    others = [_other_maps(groups, i, rng) for i in range(len(cases))]
    own = np.array([_mass_and_peak(case.map, case.mask) for case in cases])
    swapped = np.array(
        [
            np.mean([_mass_and_peak(cases[j].map, case.mask) for j in chosen], axis=0)
            for case, chosen in zip(cases, others, strict=True)
        ]
    )
    gaussian = np.array([_mass_and_peak(centred_gaussian(case.mask.shape), case.mask) for case in cases])
    columns = {"area": np.array([case.mask.mean() for case in cases])}
    for name, values in (("own", own), ("swapped", swapped), ("gaussian", gaussian)):
        columns[f"{name} mass"], columns[f"{name} peak"] = values.T
    return columns


def _other_maps(groups: NDArray[np.str_], index: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose images of other lesions whose maps are tried on this one."""
    foreign = np.flatnonzero(groups != groups[index])
    return np.asarray(rng.choice(foreign, size=min(N_SWAPS, len(foreign)), replace=False), dtype=np.int64)


def _mass_and_peak(values: FloatArray, mask: Mask) -> tuple[float, float]:
    """Return the share of positive mass inside a mask and whether the peak is; both 0 for an empty map."""
    positive = np.clip(values, 0, None)
    if positive.shape != mask.shape:
        positive = sample_to_model(positive, resize_geometry(positive.shape, mask.shape))[0]
    total = float(positive.sum(dtype=np.float64))
    if total <= 0:
        return 0.0, 0.0
    inside = float(positive[mask].sum(dtype=np.float64))
    return inside / total, float(mask.flat[int(positive.argmax())])


def centred_gaussian(shape: Sequence[int]) -> FloatArray:
    """Return a Gaussian about the centre, its standard deviation a quarter of each side."""
    axes = [((np.arange(n) + 0.5) / n - 0.5) / GAUSSIAN_SIGMA for n in shape]
    rows, columns = (np.exp(-0.5 * axis**2) for axis in axes)
    return np.asarray(np.outer(rows, columns), dtype=np.float32)

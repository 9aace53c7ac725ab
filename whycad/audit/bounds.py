"""What the figures of each task must reach; a figure that falls short is named, not hidden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from whycad.audit.bootstrap import Estimate


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Attributes
    ----------
    name : str
        For the reader.
    value : float
        NaN where undefined.
    interval : tuple of float or None
        95 %, bootstrap over groups.
    wanted : str
        The bound in words; empty where there is none.
    met : bool or None
        Whether the point estimate keeps the bound; None without one.
    note : str
    digits : int
        After the decimal point.
    """

    name: str
    value: float
    interval: tuple[float, float] | None = None
    wanted: str = ""
    met: bool | None = None
    note: str = ""
    digits: int = 3


@dataclass(frozen=True)
class Bounds:
    """A task's bounds; None where there is none.

    Attributes
    ----------
    auroc, accuracy : float or None
        At least.
    set_size : float or None
        At most, on average.
    healthy_referred : float or None
        Share of healthy cases handed over, at most.
    diameter_margin : float or None
        By how much AUROC must exceed that of diameter alone.
    aurc_surely : bool
        Whether the whole interval of ensemble less median member must lie below 0.
    """

    auroc: float | None = None
    accuracy: float | None = None
    set_size: float | None = None
    healthy_referred: float | None = None
    diameter_margin: float | None = None
    aurc_surely: bool = False


BOUNDS: Mapping[str, Bounds] = {
    "skin_lesion": Bounds(aurc_surely=True),
    "lung_nodule": Bounds(auroc=0.93, set_size=1.4, diameter_margin=0.02),
    "retinal_oct": Bounds(auroc=0.995, accuracy=0.97, set_size=1.1, healthy_referred=0.15),
    "liver_fibrosis": Bounds(set_size=2.2),
}
OOD_AUROC = 0.95
ECE_EXCESS = 0.02
ECE_EXCESS_OF_FEW, FEW = 0.03, 400


def at_least(name: str, found: Estimate, bound: float | None, digits: int = 3) -> Figure:
    """Return a figure that must not be below a bound."""
    wanted, met = ("", None) if bound is None else (f"at least {bound:g}", bool(found.value >= bound))
    return Figure(name, found.value, found.interval, wanted, met, digits=digits)


def at_most(name: str, found: Estimate, bound: float | None, digits: int = 3) -> Figure:
    """Return a figure that must not be above a bound."""
    wanted, met = ("", None) if bound is None else (f"at most {bound:g}", bool(found.value <= bound))
    return Figure(name, found.value, found.interval, wanted, met, digits=digits)

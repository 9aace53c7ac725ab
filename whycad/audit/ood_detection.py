"""How well the gate tells strange images from those that it was made for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import Estimate, GroupBootstrap
from whycad.audit.measures import auroc_of, mean_of

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class GateScores:
    """What the gate said of n images.

    Attributes
    ----------
    scores : ndarray (n,)
        Infinite where the input gate already refused the image.
    decisions : ndarray of str (n,)
        ``report``, ``refer`` or ``reject``.
    groups : ndarray of str (n,)
        Patient or picture that the images come from.
    """

    scores: FloatArray
    decisions: NDArray[np.str_]
    groups: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Detection:
    """Figures of one set of strange images against the images that the task is made for.

    Attributes
    ----------
    name : str
    n, n_groups : int
        Of the strange images.
    auroc : Estimate
        Share of pairs in which the strange image has the larger score.
    refused : Estimate
        Share of the strange images that are rejected.
    not_reported : Estimate
        Share of them that are rejected or referred.
    """

    name: str
    n: int
    n_groups: int
    auroc: Estimate
    refused: Estimate
    not_reported: Estimate


def detect(name: str, own: GateScores, strange: GateScores, n_draws: int = 1000, seed: int = 0) -> Detection:
    """Compare a set of strange images with the task's own.

    Parameters
    ----------
    name : str
    own, strange : GateScores
        Both not empty.
    n_draws, seed : int
        Of the bootstrap over groups of both sides.
    """
    is_strange = np.r_[np.zeros(len(own), bool), np.ones(len(strange), bool)]
    scores = np.r_[own.scores, strange.scores]
    groups = np.r_[np.char.add("own ", own.groups), np.char.add("strange ", strange.groups)]
    decisions = np.r_[own.decisions, strange.decisions]
    found = GroupBootstrap(groups, n_draws, seed).estimate(
        {
            "auroc": auroc_of(scores, is_strange),
            "refused": mean_of(decisions == "reject", is_strange),
            "not reported": mean_of(decisions != "report", is_strange),
        }
    )
    n_groups = len(np.unique(strange.groups))
    return Detection(name, len(strange), n_groups, found["auroc"], found["refused"], found["not reported"])


@dataclass(frozen=True)
class Missed:
    """How often a diseased image is called healthy without a word of doubt.

    Attributes
    ----------
    name : str
    n, n_groups : int
    missed : Estimate
        Share of images that are reported as healthy.
    by_patient : Estimate
        Mean over patients of that share.
    """

    name: str
    n: int
    n_groups: int
    missed: Estimate
    by_patient: Estimate


def missed_rate(name: str, missed: BoolArray, groups: NDArray[np.str_], n_draws: int = 1000, seed: int = 0) -> Missed:
    """Return the share of missed images ``(n,)``, over images and over patients."""
    names, index = np.unique(groups, return_inverse=True)
    shares = np.bincount(index, weights=missed.astype(np.float64)) / np.bincount(index)
    over_images = GroupBootstrap(groups, n_draws, seed).estimate({"missed": mean_of(missed)})["missed"]
    over_patients = GroupBootstrap(names, n_draws, seed).estimate({"missed": mean_of(shares)})["missed"]
    return Missed(name, len(missed), len(names), over_images, over_patients)

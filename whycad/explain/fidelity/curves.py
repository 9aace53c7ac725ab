"""Deletion and insertion curves, and what they are compared with.

Deletion and insertion are read together: their mean gain depends far less on what hidden parts
become than either does alone.

References
----------
Petsiuk, Das and Saenko, RISE, BMVC 2018 (deletion and insertion).
Bluecher, Vielhaben and Strodthoff, Decoupling pixel flipping and occlusion strategy for consistent
XAI benchmarks, TMLR 2024 (both together).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from whycad.explain.base import ExplainOptions
from whycad.explain.fidelity.cells import Cells, order_of
from whycad.explain.fidelity.edges import edge_map
from whycad.explain.segment_masks import SegmentScores

N_STEPS = 10
N_RANDOM = 4


@dataclass(frozen=True)
class CurveOptions:
    """How finely curves are drawn.

    Attributes
    ----------
    n_steps : int
        Equal steps from the whole image to nothing.
    n_random : int
        Random orderings.
    """

    n_steps: int = N_STEPS
    n_random: int = N_RANDOM


@dataclass(frozen=True, eq=False)
class Curve:
    """The target's score as cells are hidden, or shown, in one order.

    Attributes
    ----------
    deletion, insertion : ndarray of float64 (n_steps + 1,)
        Deletion starts with the whole image, insertion with the baseline; both run over the share
        of cells that was changed, 0..1.
    """

    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]

    @property
    def deletion_auc(self) -> float:
        """Mean score during deletion: small where what came first mattered."""
        return auc(self.deletion)

    @property
    def insertion_auc(self) -> float:
        """Mean score during insertion: large where what came first mattered."""
        return auc(self.insertion)


@dataclass(frozen=True, eq=False)
class References:
    """What a case's maps are compared with; made once per case and target.

    Attributes
    ----------
    whole, nothing : float
        Scores of the image and of its baseline.
    random_auc : float
        Mean score during deletion, and so during insertion, over random orderings.
    edges : Curve
    hidden : ndarray of bool (m, n_cells)
        Random sets of cells that were hidden.
    scores : ndarray of float64 (m,)
        Scores of the image without each of these sets.
    span : float
        Largest less smallest score over all of these images.
    """

    whole: float
    nothing: float
    random_auc: float
    edges: Curve
    hidden: NDArray[np.bool_]
    scores: NDArray[np.float64]
    span: float


@dataclass(frozen=True)
class Gains:
    """What a map's curves gain over the references, in shares of the span."""

    deletion_auc: float
    insertion_auc: float
    deletion_random: float
    insertion_random: float
    deletion_edges: float
    insertion_edges: float


def auc(curve: NDArray[np.float64]) -> float:
    """Return the area under a curve over 0..1 in equal steps, by trapezoids."""
    return float((curve[1:] + curve[:-1]).sum() / 2 / (len(curve) - 1))


def hidden_first(order: NDArray[np.int64], n_steps: int) -> NDArray[np.bool_]:
    """Return which cells are hidden at each inner step ``(n_steps - 1, n_cells)``, the order's first ones first."""
    n = len(order)
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    counts = np.rint(np.arange(1, n_steps) / n_steps * n)
    return np.asarray(place[None, :] < counts[:, None])


def draw_references(
    model: nn.Module, cells: Cells, options: ExplainOptions, fineness: CurveOptions = CurveOptions()
) -> References:
    """Score the whole image, the baseline, random orderings and the edge detector's.

    Parameters
    ----------
    model : torch.nn.Module
        ``(b, C, *shape)`` to scores ``(b, k)``, of which the first counts.
    cells : Cells
    options : ExplainOptions
        ``seed``, ``batch_size``, ``progress``, ``cancelled``.
    fineness : CurveOptions

    Raises
    ------
    ExplanationError, PredictionError, JobCancelledError
    """
    rng = np.random.default_rng(options.seed)
    steps = fineness.n_steps
    random_rows = np.concatenate([hidden_first(rng.permutation(cells.n), steps) for _ in range(fineness.n_random)])
    edge_rows = _rows(order_of(cells.sums(edge_map(cells.grey())), rng), steps)
    ends = np.array([[False], [True]]).repeat(cells.n, axis=1)
    scores = _scores(model, cells, np.concatenate([ends, random_rows, edge_rows]), options)
    whole, nothing = float(scores[0]), float(scores[1])
    at_random, at_edges = np.split(scores[2:], [len(random_rows)])
    # A random order read backwards is a random order: deletion's mean curve is insertion's as well.
    mean = at_random.reshape(fineness.n_random, -1).mean(axis=0)
    return References(
        whole=whole,
        nothing=nothing,
        random_auc=auc(np.concatenate([[whole], mean, [nothing]])),
        edges=_curve(at_edges, whole, nothing),
        hidden=random_rows,
        scores=at_random,
        span=float(scores.max() - scores.min()),
    )


def draw_curves(
    model: nn.Module,
    cells: Cells,
    maps: Sequence[NDArray[np.float64]],
    references: References,
    options: ExplainOptions,
) -> list[Curve]:
    """Draw the curves of maps, all in one go.

    Parameters
    ----------
    model : torch.nn.Module
    cells : Cells
    maps : sequence of ndarray of float64 (n_cells,)
        Each map added up in the cells.
    references : References
    options : ExplainOptions
    """
    rng = np.random.default_rng(options.seed)
    n_steps = len(references.edges.deletion) - 1
    rows = [_rows(order_of(weights, rng), n_steps) for weights in maps]
    scores = _scores(model, cells, np.concatenate(rows), options).reshape(len(maps), -1)
    return [_curve(part, references.whole, references.nothing) for part in scores]


def gains(curve: Curve, references: References) -> Gains:
    """Return what a curve gains over the references; zeros where the score never moves."""
    span = references.span if references.span > 0 else np.inf
    deletion, insertion, edges = curve.deletion_auc, curve.insertion_auc, references.edges
    return Gains(
        deletion_auc=deletion,
        insertion_auc=insertion,
        deletion_random=(references.random_auc - deletion) / span,
        insertion_random=(insertion - references.random_auc) / span,
        deletion_edges=(edges.deletion_auc - deletion) / span,
        insertion_edges=(insertion - edges.insertion_auc) / span,
    )


def _rows(order: NDArray[np.int64], n_steps: int) -> NDArray[np.bool_]:
    """Return the sets that are hidden on the way: of deletion, then of insertion."""
    return np.concatenate([hidden_first(order, n_steps), ~hidden_first(order, n_steps)])


def _curve(scores: NDArray[np.float64], whole: float, nothing: float) -> Curve:
    deletion, insertion = np.split(scores, 2)
    return Curve(
        np.concatenate([[whole], deletion, [nothing]]),
        np.concatenate([[nothing], insertion, [whole]]),
    )


def _scores(model: nn.Module, cells: Cells, hidden: NDArray[np.bool_], options: ExplainOptions) -> NDArray[np.float64]:
    scores = SegmentScores(model, cells.cut, ~hidden, options).first(len(hidden))
    return np.asarray(scores[:, 0], np.float64)

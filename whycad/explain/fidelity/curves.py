"""Deletion and insertion curves, and what they are compared with.

Deletion and insertion are read together: their mean gain depends far less on what hidden parts
become than either does alone. Sets of cells double in size from step to step, since a finding often
takes a few hundredths of the image, and equal steps would find it in the first one whatever the order.

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
from whycad.explain.fidelity.cells import Cells
from whycad.explain.fidelity.edges import edge_map
from whycad.explain.segment_masks import SegmentScores

SHARES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
N_RANDOM = 4
# A volume costs many times an image's time.
VOLUME_SHARES, VOLUME_N_RANDOM = (0.02, 0.05, 0.12, 0.3, 0.64), 3


@dataclass(frozen=True)
class CurveOptions:
    """How finely curves are drawn.

    Attributes
    ----------
    shares : tuple of float
        Rising shares of the cells, between 0 and 1, that are hidden, or shown, in turn.
    n_random : int
        Random orderings.
    """

    shares: tuple[float, ...] = SHARES
    n_random: int = N_RANDOM

    @classmethod
    def fitted(cls, shape: Sequence[int]) -> CurveOptions:
        """Return what an image or volume of a spatial shape is worth."""
        return cls() if len(shape) == 2 else cls(VOLUME_SHARES, VOLUME_N_RANDOM)


@dataclass(frozen=True, eq=False)
class Curve:
    """The target's score as cells are hidden, or shown, in one order.

    Attributes
    ----------
    deletion, insertion : ndarray of float64 (n_shares,)
        By the share of cells that was hidden of the whole image, or shown of the baseline.
    """

    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]

    @property
    def deletion_auc(self) -> float:
        """Mean score during deletion: small where what came first mattered."""
        return float(self.deletion.mean())

    @property
    def insertion_auc(self) -> float:
        """Mean score during insertion: large where what came first mattered."""
        return float(self.insertion.mean())


@dataclass(frozen=True, eq=False)
class References:
    """What a case's maps are compared with; made once per case and target.

    Attributes
    ----------
    whole, nothing : float
        Scores of the image and of its baseline.
    random : Curve
        Mean over random orderings.
    edges : Curve
    shares : tuple of float
    hidden : ndarray of bool (m, n_cells)
        Random sets of cells that were hidden.
    scores : ndarray of float64 (m,)
        Scores of the image without each of these sets.
    span : float
        Largest less smallest score over all of these images.
    """

    whole: float
    nothing: float
    random: Curve
    edges: Curve
    shares: tuple[float, ...]
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


def hidden_first(order: NDArray[np.int64], shares: Sequence[float]) -> NDArray[np.bool_]:
    """Return which cells are hidden at each share ``(n_shares, n_cells)``, the order's first ones first.

    At least one cell is hidden, and at least one is left.
    """
    n = len(order)
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    counts = np.clip(np.rint(np.asarray(shares) * n), min(1, n), max(1, n - 1))
    return np.asarray(place[None, :] < counts[:, None])


def random_orders(n_cells: int, n_orders: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Draw random orderings of cells in which each cell comes early in some and late in others.

    They are one random ordering, begun at equally distant places: a few of them give a steadier
    mean than as many independent ones.
    """
    one = rng.permutation(n_cells)
    return [np.roll(one, -(n_cells * i // n_orders)) for i in range(n_orders)]


def draw_references(
    model: nn.Module, cells: Cells, options: ExplainOptions, fineness: CurveOptions | None = None
) -> References:
    """Score the whole image, the baseline, random orderings and the edge detector's.

    Parameters
    ----------
    model : torch.nn.Module
        ``(b, C, *shape)`` to scores ``(b, k)``, of which the first counts.
    cells : Cells
    options : ExplainOptions
        ``seed``, ``batch_size``, ``progress``, ``cancelled``.
    fineness : CurveOptions or None
        None fits the input's shape.

    Raises
    ------
    ExplanationError, PredictionError, JobCancelledError
    """
    rng = np.random.default_rng(options.seed)
    fineness = fineness or CurveOptions.fitted(cells.labels.shape)
    shares = fineness.shares
    random_rows = np.concatenate([_rows(order, shares) for order in random_orders(cells.n, fineness.n_random, rng)])
    edge_rows = _rows_of(cells, cells.sums(edge_map(cells.grey())), shares)
    ends = np.array([[False], [True]]).repeat(cells.n, axis=1)
    scores = _scores(model, cells, np.concatenate([ends, random_rows, edge_rows]), options)
    at_random, at_edges = np.split(scores[2:], [len(random_rows)])
    return References(
        whole=float(scores[0]),
        nothing=float(scores[1]),
        random=_curve(at_random.reshape(fineness.n_random, -1).mean(axis=0)),
        edges=_curve(at_edges.reshape(2, -1).mean(axis=0)),
        shares=shares,
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
    rows = [_rows_of(cells, weights, references.shares) for weights in maps]
    scores = _scores(model, cells, np.concatenate(rows), options).reshape(len(maps), 2, -1)
    return [_curve(both.mean(axis=0)) for both in scores]


def gains(curve: Curve, references: References) -> Gains:
    """Return what a curve gains over the references; zeros where the score never moves."""
    span = references.span if references.span > 0 else np.inf
    deletion, insertion = curve.deletion_auc, curve.insertion_auc
    edges, random = references.edges, references.random
    return Gains(
        deletion_auc=deletion,
        insertion_auc=insertion,
        deletion_random=(random.deletion_auc - deletion) / span,
        insertion_random=(insertion - random.insertion_auc) / span,
        deletion_edges=(edges.deletion_auc - deletion) / span,
        insertion_edges=(insertion - edges.insertion_auc) / span,
    )


def _rows(order: NDArray[np.int64], shares: Sequence[float]) -> NDArray[np.bool_]:
    """Return the sets that are hidden on the way: of deletion, then of insertion."""
    first = hidden_first(order, shares)
    return np.concatenate([first, ~first])


def _rows_of(cells: Cells, weights: NDArray[np.float64], shares: Sequence[float]) -> NDArray[np.bool_]:
    """Return the sets of both orders of a map; rows that repeat are scored once."""
    return np.concatenate([_rows(order, shares) for order in cells.orders(weights)])


def _curve(scores: NDArray[np.float64]) -> Curve:
    return Curve(*np.split(scores, 2))


def _scores(model: nn.Module, cells: Cells, hidden: NDArray[np.bool_], options: ExplainOptions) -> NDArray[np.float64]:
    scores = SegmentScores(model, cells.cut, ~hidden, options).first(len(hidden))
    return np.asarray(scores[:, 0], np.float64)

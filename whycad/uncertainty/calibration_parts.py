"""The parts of a stored calibration; ``calibration.Calibration`` holds them together.

=====================  ==========================================================================
``Calibration`` field  what it holds
=====================  ==========================================================================
``scaling``            ``Scaling``: form and parameters that turn logs into probabilities
``prior``              prevalence in the calibration data, per label
``score``              ``ScoreRule``: which nonconformity score the conformal sets use
``conformal_scores``   that score of the true label, per class, cross-fitted, ascending
``reliability``        ``Reliability``: bins of said against observed, cross-fitted
``ood``                the gate: ``quantiles`` (0..100) of its score, ``refer_above``, ``reject_above``
``held_out``           ``HeldOutRisk``: risk-coverage curve, AURC, harm, of cross-fitted predictions
=====================  ==========================================================================

"Cross-fitted" means that each case was judged by parts fitted without its group.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
ScalingForm = Literal["temperature", "offset", "vector", "dirichlet", "isotonic"]
ScoreForm = Literal["plain", "aps", "raps", "ordinal_aps"]


class Section(BaseModel):
    """A frozen part of ``calibration.json`` without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CalibrationSource(Section):
    """Which data the calibration was fitted on."""

    dataset: str
    selection: str
    n: int = Field(ge=1)
    n_groups: int = Field(ge=1)
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class StoredOperatingPoint(Section):
    """A threshold on a summed probability, with what it achieved on calibration data."""

    threshold: FiniteFloat
    sensitivity: FiniteFloat
    specificity: FiniteFloat
    n_positive: int
    n_negative: int


class StepMap(Section):
    """A rising, piecewise linear map of a probability.

    Attributes
    ----------
    x, y : tuple of float
        Knots, ascending, in 0..1; constant beyond the ends.
    """

    x: tuple[Share, ...] = Field(min_length=1)
    y: tuple[Share, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rising(self) -> StepMap:
        if len(self.x) != len(self.y) or list(self.x) != sorted(self.x) or list(self.y) != sorted(self.y):
            raise ValueError("x and y must be equally long and ascending")
        return self


class ScalingTrial(Section):
    """One candidate form: its cross-validated log loss, and how sure that is.

    Attributes
    ----------
    log_loss : float
        Mean over held-out cases, nats.
    standard_error : float
        Of the difference to the best candidate, over groups.
    """

    log_loss: FiniteFloat
    standard_error: FiniteFloat


class Scaling(Section):
    """What turns a member's log probabilities ``x`` ``(k,)`` into calibrated ones.

    ``softmax(matrix @ x + offset)``, then per class through ``maps`` and renormalised, then
    ``(1 - floor) p + floor * prior``.

    Attributes
    ----------
    form : str
        ``temperature`` (one scale), ``offset`` (and one offset per class), ``vector`` (a scale and
        an offset per class), ``dirichlet`` (a whole matrix) or ``isotonic`` (``maps`` after a
        temperature).
    matrix : tuple of tuple of float (k, k)
    offset : tuple of float (k,)
    maps : dict of str to StepMap
        Per label code; only for ``isotonic``.
    floor : float
        Weight of the prior: n cases cannot show that a chance is much smaller than 1 / n.
    trials : dict of str to ScalingTrial
        Every candidate that was compared.
    """

    form: ScalingForm
    matrix: tuple[tuple[FiniteFloat, ...], ...]
    offset: tuple[FiniteFloat, ...]
    maps: dict[str, StepMap] = Field(default_factory=dict)
    floor: float = Field(default=0.0, ge=0, lt=0.5)
    trials: dict[str, ScalingTrial] = Field(default_factory=dict)


class SetTrial(Section):
    """One candidate score: cross-fitted sets at 90 %."""

    mean_set_size: FiniteFloat
    macro_coverage: Share
    lowest_coverage: Share


class ScoreRule(Section):
    """Nonconformity score of the conformal sets.

    Attributes
    ----------
    form : str
        ``plain``: 1 - p. ``aps``: mass of the more probable labels and half of its own (Romano
        2020, the random share of its own set to a half). ``raps``: that plus ``penalty`` for every
        rank beyond ``free_ranks`` (Angelopoulos 2021). ``ordinal_aps``: the same over the run of
        stages grown from the most probable one until it holds the label (Lu 2022).
    penalty : float
    free_ranks : int
    trials : dict of str to SetTrial
        Every candidate that was compared.
    """

    form: ScoreForm = "plain"
    penalty: float = Field(default=0.0, ge=0, le=10)
    free_ranks: int = Field(default=1, ge=0)
    trials: dict[str, SetTrial] = Field(default_factory=dict)


class ReliabilityBins(Section):
    """Cases binned by probability.

    Attributes
    ----------
    counts : tuple of int (b,)
    confidence, observed : tuple of float or None (b,)
        Mean probability, and share of cases where it came true; None in an empty bin.
    """

    counts: tuple[int, ...]
    confidence: tuple[Share | None, ...]
    observed: tuple[Share | None, ...]

    @model_validator(mode="after")
    def _same_bins(self) -> ReliabilityBins:
        if not len(self.counts) == len(self.confidence) == len(self.observed):
            raise ValueError("counts, confidence and observed must be equally long")
        return self


class Reliability(Section):
    """Said against observed on cross-fitted calibration cases.

    Attributes
    ----------
    edges : tuple of float (b + 1,)
        Bin edges in 0..1; the upper edge belongs to the bin.
    top : ReliabilityBins
        Of the most probable label.
    per_class : dict of str to ReliabilityBins
        Of each label's own probability.
    ece, ece_expected : float
        Calibration error of the top label, and what a perfectly calibrated model of these
        confidences would show by chance.
    """

    edges: tuple[Share, ...]
    top: ReliabilityBins
    per_class: dict[str, ReliabilityBins]
    ece: Share
    ece_expected: Share


class HeldOutRisk(Section):
    """What the policy does on cross-fitted calibration cases (not an independent test).

    Attributes
    ----------
    n, n_groups : int
    coverage, risk : tuple of float
        Risk-coverage curve of the rule's label: share of cases kept, most confident first, and
        share of wrong ones among those.
    aurc, aurc_median_member : float
        Area under that curve, for the ensemble and for the median of the members.
    shares : dict of str to float
        Share of cases per decision: ``report``, ``refer``, ``reject``.
    error_all : float
        Share of wrong labels if all were reported.
    error_reported : float or None
        The same among the reported; None where none is.
    harm_policy, harm_report_all : float or None
        Mean cost per case by the manifest's cost table; None where it has none.
    """

    n: int
    n_groups: int
    coverage: tuple[Share, ...]
    risk: tuple[Share, ...]
    aurc: Share
    aurc_median_member: Share
    shares: dict[str, Share]
    error_all: Share
    error_reported: Share | None
    harm_policy: FiniteFloat | None = None
    harm_report_all: FiniteFloat | None = None

"""All measures of one case's maps; what they are compared with is made once per target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from whycad.explain.base import ExplainOptions
from whycad.explain.ensemble import EnsembleProbabilities, ExplainableEnsemble
from whycad.explain.fidelity.agreement import mean_agreement
from whycad.explain.fidelity.cells import Cells, quiet
from whycad.explain.fidelity.curves import CurveOptions, References, draw_curves, draw_references, gains
from whycad.explain.fidelity.grading import graded
from whycad.explain.fidelity.infidelity import infidelity
from whycad.explain.fidelity.inside import Mask, inside
from whycad.explain.fidelity.repeats import RepeatOptions, Repeats, repeat
from whycad.map_grades import Thresholds
from whycad.targets import Contrast
from whycad.types import Fidelity, FloatArray, ModelInput


@dataclass(frozen=True, eq=False)
class Question:
    """What maps are made and judged of.

    Attributes
    ----------
    ensemble : ExplainableEnsemble
    inputs : ModelInput
    target : int or Contrast
        Output column or columns.
    name : str
        The target for the reader.
    options : ExplainOptions
        Those of the maps: seed, probabilities, cancellation.
    outlines : mapping of str to ndarray of bool (*model_shape)
        Segmentations; the first one that is not empty counts.
    """

    ensemble: ExplainableEnsemble
    inputs: ModelInput
    target: int | Contrast
    name: str = "the label"
    options: ExplainOptions = field(default_factory=ExplainOptions)
    outlines: Mapping[str, Mask] = field(default_factory=dict)


@dataclass(frozen=True)
class Budget:
    """How much is spent on a case's grades; ``curves`` of None fits the input's shape."""

    curves: CurveOptions | None = None
    repeats: RepeatOptions = field(default_factory=RepeatOptions)


class CaseGrader:
    """Measures and grades the maps of one input and target.

    The same question, map and seed give the same grade, whichever maps were graded before; only
    ``agreement`` looks at the others.

    Parameters
    ----------
    question : Question
    thresholds : Thresholds or None
        None is the general ones.
    budget : Budget or None
        None is what an interactive case is worth.
    """

    def __init__(self, question: Question, thresholds: Thresholds | None = None, budget: Budget | None = None) -> None:
        self._question = question
        self._thresholds = thresholds or Thresholds()
        self._budget = budget or Budget()
        self._options = quiet(question.options)
        self._scorer = EnsembleProbabilities(question.ensemble, self._options, question.target)
        self._references: References | None = None
        self._member: nn.Module | None = None
        self._seen: dict[str, NDArray[np.float64]] = {}
        self.cells = Cells.of(question.inputs, self._thresholds.hidden)

    @property
    def references(self) -> References:
        """Curves of random orderings and of the edge detector, drawn on first use."""
        if self._references is None:
            self._references = draw_references(self._scorer, self.cells, self._options, self._budget.curves)
        return self._references

    def grade(self, method: str, values: FloatArray, fidelity: Fidelity, repeats: Repeats | None = None) -> Fidelity:
        """Measure and grade one map.

        Parameters
        ----------
        method : str
            Key of ``whycad.explain.METHODS``; what the map is made again with.
        values : ndarray of float32 (*model_shape)
        fidelity : Fidelity
            What the method said itself.
        repeats : Repeats or None
            Where they were made already.

        Raises
        ------
        ExplanationError, PredictionError, JobCancelledError
        """
        measured = self.with_curves(values, fidelity)
        measured = with_repeats(measured, repeats if repeats is not None else self.repeats(method))
        measured = self._with_outline(values, measured)
        own = self.cells.sums(values)
        measured = replace(measured, agreement=mean_agreement(own, [m for k, m in self._seen.items() if k != method]))
        self._seen[method] = own
        return self.judged(measured)

    def judged(self, measured: Fidelity) -> Fidelity:
        """Give measures their grade; its reasons go before the method's own remarks."""
        grade, reasons = graded(measured, self._thresholds, self._question.name)
        return replace(measured, grade=grade, remarks=(*reasons, *measured.remarks))

    def agreement(self, method: str) -> float | None:
        """Return the mean rank correlation of a map that was graded with all others that were."""
        own = self._seen[method]
        return mean_agreement(own, [values for key, values in self._seen.items() if key != method])

    def with_curves(self, values: FloatArray, fidelity: Fidelity) -> Fidelity:
        """Add what hiding and showing parts of the image say of a map."""
        sums = self.cells.sums(values)
        curve = draw_curves(self._scorer, self.cells, [sums], self.references, self._options)[0]
        found = gains(curve, self.references)
        return replace(
            fidelity,
            deletion_auc=found.deletion_auc,
            insertion_auc=found.insertion_auc,
            span=self.references.span,
            deletion_gain_random=found.deletion_random,
            insertion_gain_random=found.insertion_random,
            deletion_gain_edges=found.deletion_edges,
            insertion_gain_edges=found.insertion_edges,
            infidelity=infidelity(sums, self.references),
        )

    def repeats(self, method: str) -> Repeats:
        """Make one member's map again: noisy, and with random weights."""
        if self._member is None:
            self._member = self._question.ensemble.explain_members()[0]
        asked = (self._member, self._question.inputs, self._question.target)
        return repeat(method, self.cells, asked, self._options, self._budget.repeats)

    def _with_outline(self, values: FloatArray, fidelity: Fidelity) -> Fidelity:
        for name, mask in self._question.outlines.items():
            found = inside(values, mask, self.cells.box)
            if found is not None:
                return replace(
                    fidelity,
                    inside_of=name,
                    mass_inside=found.mass,
                    mass_shifted=found.mass_shifted,
                    peak_inside=bool(found.peak),
                )
        return fidelity


def with_repeats(fidelity: Fidelity, repeats: Repeats) -> Fidelity:
    """Add what making a map again says of it; the wholly random network counts."""
    return replace(
        fidelity,
        randomised_similarity=repeats.similarities[-1] if repeats.similarities else None,
        randomised_ssim=repeats.ssim,
        stability=repeats.stability,
        sensitivity=repeats.sensitivity,
    )

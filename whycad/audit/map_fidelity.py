"""How a task's explanation methods fare over many cases, and the thresholds of its grades."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.explain import METHODS, ExplainOptions, RawMap, explain_on_model_grid
from whycad.explain.fidelity.agreement import rank_correlation
from whycad.explain.fidelity.case import Budget, CaseGrader, Question
from whycad.explain.fidelity.inside import Inside, inside, mask_on_model_grid
from whycad.explain.fidelity.randomised import cascade
from whycad.explain.fidelity.repeats import OneMember, RepeatOptions, Repeats, cheap_options
from whycad.map_grades import Hidden, Thresholds
from whycad.masked_cases import MaskedCase
from whycad.scoring import calibration_of, score_inputs
from whycad.targets import target_of
from whycad.types import Fidelity, ModelInput
from whycad.uncertainty.assemble import predictions_from
from whycad.uncertainty.calibration import calibrate

if TYPE_CHECKING:
    from whycad.inference import Ensemble

# Of the layers with weights, from the output on, for methods that see inside the network.
SHARES = (1 / 3, 2 / 3, 1.0)
WAYS_TO_HIDE: tuple[Hidden, ...] = ("blur", "baseline")
FAIR_PERCENTILE, GOOD_PERCENTILE = 75, 95
SIMILARITY_BOUNDS = (0.3, 0.8)
# Less alike than this is changed, however little other images' maps have in common.
LEAST_SIMILAR = 0.6
LEAST_SPAN_BOUNDS = (0.02, 0.2)
FEWEST_TO_FIT = 4


@dataclass(frozen=True, eq=False)
class CaseMaps:
    """One case's input, question and maps.

    Attributes
    ----------
    case : MaskedCase
    question : Question
    maps : mapping of str to RawMap
        By method.
    """

    case: MaskedCase
    question: Question
    maps: Mapping[str, RawMap]


@dataclass(frozen=True, eq=False)
class MethodRow:
    """One method's map of one case, measured.

    Attributes
    ----------
    method, group : str
    fidelity : Fidelity
        Graded.
    repeats : Repeats
    inside : Inside or None
    """

    method: str
    group: str
    fidelity: Fidelity
    repeats: Repeats
    inside: Inside | None


@dataclass(frozen=True, eq=False)
class Examiner:
    """A task's loaded ensemble, and how its maps are made.

    Attributes
    ----------
    ensemble : Ensemble
    methods : tuple of str
    seed : int
    told : callable
        Given a line after each case.
    """

    ensemble: Ensemble
    methods: tuple[str, ...]
    seed: int = 0
    told: Callable[[str], None] = field(default=lambda _line: None)

    def maps_of(self, case: MaskedCase) -> CaseMaps:
        """Make a case's maps with few steps and samples, see ``cheap_options``; the task's gate is not asked."""
        plugin = self.ensemble.plugin
        inputs = plugin.preprocess(case.study, case.region)
        code = case.target or self._predicted(inputs)
        target = target_of(code, plugin.manifest)
        outlines = {} if case.mask is None else {case.of: mask_on_model_grid(case.mask, inputs.geometry)}
        question = Question(
            self.ensemble,
            inputs,
            target.columns(plugin.manifest.label_codes),
            target.name(plugin.manifest),
            self._options(),
            outlines,
        )
        cells = CaseGrader(question).cells
        options = cheap_options(question.options, cells)
        maps = {m: explain_on_model_grid(m, self.ensemble, inputs, question.target, options) for m in self.methods}
        return CaseMaps(case, question, maps)

    def _predicted(self, inputs: ModelInput) -> str:
        plugin = self.ensemble.plugin
        calibration = calibration_of(plugin)
        numbers = score_inputs([inputs], self.ensemble, calibration)
        return predictions_from(numbers, plugin.manifest, calibration, 0.9)[0].predicted

    def _options(self) -> ExplainOptions:
        plugin = self.ensemble.plugin
        calibration = calibration_of(plugin)
        return ExplainOptions(
            seed=self.seed,
            gradcam_layer=plugin.manifest.explain.gradcam_layer,
            probabilities=lambda logits: calibrate(np.asarray(logits), calibration).mean(axis=0),
        )

    def measure(self, cases: Iterable[MaskedCase], thresholds: Thresholds) -> Iterator[MethodRow]:
        """Make, measure and grade the maps of cases."""
        for number, case in enumerate(cases, start=1):
            made = self.maps_of(case)
            for method, raw in made.maps.items():
                yield self._measured(method, raw, made, thresholds)
            self.told(f"{self.ensemble.plugin.id}: case {number} measured")

    def _measured(self, method: str, raw: RawMap, made: CaseMaps, thresholds: Thresholds) -> MethodRow:
        shares = SHARES if METHODS[method].scope == "member" else ()
        grader = CaseGrader(made.question, thresholds, Budget(repeats=RepeatOptions(shares=shares)))
        repeats = grader.repeats(method)
        fidelity = grader.grade(method, raw.map, raw.fidelity, repeats)
        outlines = list(made.question.outlines.values())
        found = inside(raw.map, outlines[0], grader.cells.box) if outlines else None
        return MethodRow(method, made.case.group, fidelity, repeats, found)


def fit_thresholds(made: Sequence[CaseMaps], told: Callable[[str], None] = lambda _line: None) -> Thresholds:
    """Set the thresholds of a task's grades from maps of calibration cases.

    Every case is also given the maps of the next one, made for another image: what a map must beat.
    Hidden cells become what sets own maps apart from others' most clearly. An A needs a gain over
    random orderings above 95 % of others' maps, a B one above 75 %. Maps of different images show
    how alike maps are that have nothing but the method in common: a map that stays more alike than
    95 % of those under random weights fails, and one that is less alike under noise has a C. A score
    must move more under hiding than 95 % of those of networks with random weights.

    Parameters
    ----------
    made : sequence of CaseMaps
        Fewer than four give the general thresholds.
    told : callable
    """
    if len(made) < FEWEST_TO_FIT:
        return Thresholds()
    tables = {}
    for hidden in WAYS_TO_HIDE:
        tables[hidden] = _own_and_others(made, hidden)
        told(f"calibration: hidden parts as {hidden}, own maps win in {_wins(tables[hidden]):.0%}")
    chosen = max(WAYS_TO_HIDE, key=lambda hidden: _wins(tables[hidden]))
    others, spans = tables[chosen][:, 1], _spans_at_random(made, chosen)
    alike = float(np.clip(np.percentile(_unrelated(made), GOOD_PERCENTILE), *SIMILARITY_BOUNDS))
    fair, good = np.maximum(np.percentile(others, [FAIR_PERCENTILE, GOOD_PERCENTILE]), 0.0)
    return Thresholds(
        hidden=chosen,
        least_span=round(float(np.clip(np.percentile(spans, GOOD_PERCENTILE), *LEAST_SPAN_BOUNDS)), 4),
        fair_gain=round(float(fair), 4),
        good_gain=round(float(good), 4),
        most_similar=round(max(alike, LEAST_SIMILAR), 4),
        fair_stability=round(alike, 4),
        good_stability=round((1 + alike) / 2, 4),
    )


def _spans_at_random(made: Sequence[CaseMaps], hidden: Hidden) -> list[float]:
    """Return how much the scores of networks with random weights move when parts of the cases are hidden."""
    spans = []
    for number, one in enumerate(made):
        asked = one.question
        network = next(iter(cascade(asked.ensemble.explain_members()[0], (1.0,), number)))
        random = replace(asked, ensemble=OneMember(network, asked.ensemble.device))
        spans.append(CaseGrader(random, Thresholds(hidden=hidden)).references.span)
    return spans


def _own_and_others(made: Sequence[CaseMaps], hidden: Hidden) -> NDArray[np.float64]:
    """Return gains over random orderings of own maps and of the next case's, ``(n, 2)``."""
    rows = []
    for one, other in zip(made, [*made[1:], made[0]], strict=True):
        grader = CaseGrader(one.question, Thresholds(hidden=hidden))
        for method, raw in one.maps.items():
            both = [grader.with_curves(values, Fidelity()) for values in (raw.map, other.maps[method].map)]
            rows.append([found.gain_over_random or 0.0 for found in both])
    return np.array(rows, np.float64)


def _wins(table: NDArray[np.float64]) -> float:
    return float((table[:, 0] > table[:, 1]).mean())


def _unrelated(made: Sequence[CaseMaps]) -> list[float]:
    """Return rank correlations between different images' maps of the same method."""
    found = []
    for number, one in enumerate(made):
        cells = CaseGrader(one.question).cells
        for other in made[number + 1 :]:
            if other.case.group != one.case.group:
                found += [
                    rank_correlation(cells.sums(raw.map), cells.sums(other.maps[m].map)) for m, raw in one.maps.items()
                ]
    return found or [SIMILARITY_BOUNDS[1]]

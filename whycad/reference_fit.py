"""Reference distributions from calibration cases: measure every case, summarise by label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from whycad.admission import admit
from whycad.errors import DatasetError
from whycad.reading import mean_outputs
from whycad.reference import (
    CENTRAL,
    LEAST_CASES,
    Distribution,
    LabelDistribution,
    Reference,
    ReferenceSource,
    distribution_of,
)
from whycad.reference_cases import ReferenceCase
from whycad.scoring import input_problems
from whycad.types import Evidence, ModelInput

if TYPE_CHECKING:
    from whycad.inference import Ensemble

AT_ONCE = 16
Values = dict[tuple[str, str], list[float]]


@dataclass
class Collected:
    """What was measured, by key and label.

    Attributes
    ----------
    measured, rated, read : dict of (str, str) to list of float
        Measurements by (key, label); expected ratings and radiologists' mean ratings by (concept, label).
    names : dict of str to (str, str)
        Name and reference unit by key.
    n, n_refused : int
        Cases measured, and those that the task's gate refused.
    simulated : bool
        Whether any case was simulated.
    """

    measured: Values = field(default_factory=lambda: defaultdict(list))
    rated: Values = field(default_factory=lambda: defaultdict(list))
    read: Values = field(default_factory=lambda: defaultdict(list))
    names: dict[str, tuple[str, str]] = field(default_factory=dict)
    n: int = 0
    n_refused: int = 0
    simulated: bool = False

    def add(self, case: ReferenceCase, evidence: Evidence) -> None:
        """Note what was found in one case; measurements without a key are left out."""
        self.n += 1
        self.simulated |= case.study.simulated
        for item in evidence.measurements:
            if item.key:
                self.names.setdefault(item.key, (item.name, item.unit if item.scale == 1 else ""))
                self.measured[item.key, case.label].append(item.reference_value)
        for concept in evidence.concepts:
            self.rated[concept.name, case.label].append(concept.expected)
        for name, rating in case.readings.items():
            self.read[name, case.label].append(rating)


@dataclass(frozen=True, eq=False)
class _Ready:
    case: ReferenceCase
    inputs: ModelInput


def collect(cases: Iterable[ReferenceCase], ensemble: Ensemble) -> Collected:
    """Measure cases, each as the pipeline would.

    Parameters
    ----------
    cases : iterable of ReferenceCase
    ensemble : Ensemble

    Raises
    ------
    PluginError, PredictionError
        When a case cannot be measured; cases that the gate refuses are counted and left out.
    """
    found = Collected()
    ready = _admitted(cases, ensemble, found)
    while chunk := list(islice(ready, AT_ONCE)):
        mean = mean_outputs([item.inputs for item in chunk], ensemble)
        for index, item in enumerate(chunk):
            outputs = {name: array[index] for name, array in mean.items()}
            found.add(item.case, ensemble.plugin.evidence(item.case.study, item.inputs, outputs))
    return found


def _admitted(cases: Iterable[ReferenceCase], ensemble: Ensemble, found: Collected) -> Iterator[_Ready]:
    """Yield the cases that may be scored, preprocessed."""
    plugin = ensemble.plugin
    for case in cases:
        refused = input_problems(case.study, plugin.manifest)
        inputs = None if refused else admit(plugin, case.study, case.region).inputs
        if inputs is None:
            found.n_refused += 1
        else:
            yield _Ready(case, inputs)


def fit_reference(found: Collected, source: ReferenceSource, codes: Sequence[str]) -> Reference:
    """Summarise what was measured.

    Parameters
    ----------
    found : Collected
    source : ReferenceSource
    codes : sequence of str
        Label codes of the task.

    Raises
    ------
    DatasetError
        When nothing was measured.
    """
    if not found.n:
        raise DatasetError("no case could be measured, so there is nothing to refer to")
    keys = list(dict.fromkeys(key for key, _ in found.measured))
    concepts = list(dict.fromkeys(key for key, _ in found.rated))
    readers = {name: _ranges(found.read, name, codes) for name in dict.fromkeys(name for name, _ in found.read)}
    return Reference(
        source=source,
        measurements={
            key: Distribution(
                name=found.names[key][0], unit=found.names[key][1], labels=_by_label(found.measured, key, codes)
            )
            for key in keys
        },
        concepts={name: Distribution(name=name, labels=_by_label(found.rated, name, codes)) for name in concepts},
        readers={name: ranges for name, ranges in readers.items() if ranges},
    )


def _by_label(values: Values, key: str, codes: Sequence[str]) -> dict[str, LabelDistribution]:
    return {code: distribution_of(np.asarray(values.get((key, code), []), np.float64)) for code in codes}


def _ranges(values: Values, name: str, codes: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return the central 90 % by label, of labels with enough ratings."""
    known = {code: np.asarray(values.get((name, code), [])) for code in codes}
    spans = {code: np.percentile(found, CENTRAL) for code, found in known.items() if len(found) >= LEAST_CASES}
    return {code: (float(low), float(high)) for code, (low, high) in spans.items()}

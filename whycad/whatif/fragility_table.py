"""How far a task's calibration cases are from another answer: the distribution that a case is placed in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from whycad.errors import DatasetError, WhyCadError
from whycad.files import whole_file
from whycad.hooks import Hooks
from whycad.reference_cases import ReferenceCase
from whycad.types import AnalysisRequest
from whycad.whatif.fragility import LARGEST, FragilityTable, smallest_flip
from whycad.whatif.request import WhatIfKind, WhatIfRequest
from whycad.whatif.scene import open_scene
from whycad.whatif.search import open_search

if TYPE_CHECKING:
    from whycad.inference import Ensemble

FEWEST = 10
UNSCORED = -1.0


def choose(cases: Iterable[ReferenceCase], n: int, seed: int) -> list[ReferenceCase]:
    """Return n cases drawn at random, so that labels are as frequent as in the calibration data."""
    every = list(cases)
    order = np.random.default_rng(seed).permutation(len(every))
    return [every[i] for i in order[:n]]


def flips(cases: Iterable[ReferenceCase], ensemble: Ensemble, kept: Path) -> Iterator[float | None]:
    """Yield the smallest flip of each case, from ``kept`` where it was found before a stop.

    Cases that cannot be scored are left out.

    Raises
    ------
    StoreError
        When ``kept`` cannot be written.
    """
    known: list[float | None] = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else []
    done = list(known)
    for index, case in enumerate(cases):
        if index >= len(known):
            done.append(_flip_of(case, ensemble))
            with whole_file(kept) as stream:
                json.dump(done, stream)
        value = done[index]
        if value != UNSCORED:
            yield value


def _flip_of(case: ReferenceCase, ensemble: Ensemble) -> float | None:
    what = WhatIfRequest(WhatIfKind.FRAGILITY)
    try:
        scene = open_scene(case.study, ensemble, AnalysisRequest(region=case.region), what, Hooks())
        return smallest_flip(open_search(scene)).epsilon
    except WhyCadError:
        return UNSCORED


def table_from(found: list[float | None], ensemble: Ensemble, dataset: str, seed: int) -> FragilityTable:
    """Put a table together.

    Raises
    ------
    DatasetError
        When fewer than ten cases could be scored.
    """
    if len(found) < FEWEST:
        raise DatasetError(f"{len(found)} cases are too few for a distribution", remedy=f"give at least {FEWEST}")
    epsilons = sorted(float(f"{value:.4g}") for value in found if value is not None)
    return FragilityTable(
        weights_sha256=ensemble.plugin.weights_sha256,
        dataset=dataset,
        epsilons=tuple(epsilons),
        n=len(found),
        largest=LARGEST,
        seed=seed,
    )

"""How a caller follows and stops an analysis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from whycad.errors import JobCancelledError
from whycad.types import AnalysisResult, Progress


@dataclass(frozen=True)
class Hooks:
    """How a caller follows and stops an analysis.

    Attributes
    ----------
    progress : callable
        Told how far the analysis is.
    cancelled : callable
        Asked between batches; True stops the analysis.
    partial : callable
        Given the result each time it has grown: first the prediction with its evidence, then map
        by map.
    """

    progress: Callable[[Progress], None] = lambda _progress: None
    cancelled: Callable[[], bool] = lambda: False
    partial: Callable[[AnalysisResult], None] = lambda _result: None

    def check(self) -> None:
        """Raise where the caller has cancelled."""
        if self.cancelled():
            raise JobCancelledError("the analysis was cancelled")

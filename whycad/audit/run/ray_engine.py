"""``map_batches`` on an existing Ray cluster (extra ``scale``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from whycad.errors import PredictionError

if TYPE_CHECKING:
    from whycad.audit.run.engine import BatchJob, Chunk, EngineOptions


def run_on_ray(job: BatchJob, todo: Sequence[Chunk], options: EngineOptions) -> Iterator[Chunk]:
    """Compute chunks by actors of a Ray cluster; each writes its own file."""
    raise PredictionError("this engine is not built yet", remedy="use --engine local")

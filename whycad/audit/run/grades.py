"""The measures and grades of maps of audited images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.audit.data.dataset import DatasetRef
from whycad.audit.run.chunk_files import failure_text
from whycad.audit.run.predicting import columns_digest, outlined_contents, plugin_digest, read_cases
from whycad.errors import WhyCadError

if TYPE_CHECKING:
    import pyarrow as pa

    from whycad.audit.data.dataset import AuditDataset
    from whycad.audit.map_fidelity import Examiner, MethodRow
    from whycad.audit.run.engine import Worker
    from whycad.audit.run.predicting import Case
    from whycad.map_grades import Thresholds

GRADES_VERSION = 1


@dataclass(frozen=True)
class GradeJob:
    """Make, measure and grade maps of every row: ``error``, and ``measures``, JSON by method (empty after an error).

    Attributes
    ----------
    dataset : DatasetRef
        With a task.
    methods : tuple of str
    device : str
    seed : int
    """

    dataset: DatasetRef
    methods: tuple[str, ...]
    device: str = ""
    seed: int = 0
    name: str = "grades"

    @property
    def digest(self) -> str:
        """Hash of the task, of columns that it reads beside the images, its thresholds, the methods and the seed."""
        from whycad.map_grades import map_grades_of
        from whycad.registry import discover

        plugin = discover().get(self.dataset.task)
        thresholds = map_grades_of(plugin).thresholds.model_dump_json()
        columns = columns_digest(self.dataset, plugin)
        about = {"thresholds": thresholds, "measured": GRADES_VERSION, "columns": columns}
        return plugin_digest(plugin, methods=self.methods, seed=self.seed, **about)

    def content(self, rows: Sequence[int]) -> Sequence[str]:
        """Return the hash of each row's image and outline."""
        return outlined_contents(self.dataset.open(), rows)

    def open(self) -> Worker:
        """Load the ensemble."""
        from whycad.audit.map_fidelity import Examiner
        from whycad.inference import choose_device, load_members
        from whycad.map_grades import map_grades_of
        from whycad.registry import discover

        plugin = discover().get(self.dataset.task)
        examiner = Examiner(load_members(plugin, choose_device(self.device or None)), self.methods, self.seed)
        dataset, thresholds = self.dataset.open(), map_grades_of(plugin).thresholds

        def work(rows: Sequence[int]) -> pa.Table:
            import pyarrow as pa

            cases = zip(rows, read_cases(dataset, rows), strict=True)
            return pa.Table.from_pylist([_record(row, case, dataset, examiner, thresholds) for row, case in cases])

        return work


def _record(
    row: int, case: Case | WhyCadError, dataset: AuditDataset, examiner: Examiner, thresholds: Thresholds
) -> dict[str, str]:
    from whycad.masked_cases import MaskedCase
    from whycad.volume import is_read_by_slices

    try:
        if isinstance(case, WhyCadError):
            raise case
        study, region = case
        if is_read_by_slices(study, examiner.ensemble.plugin.manifest):
            return {"error": "a volume that is read slice by slice gets no grade here", "measures": ""}
        mask = _outline(dataset.mask(row), study.spatial_shape)
        masked = MaskedCase(study, "", region, mask, "finding" if mask is not None else "")
        rows = examiner.measure([masked], thresholds)
        return {"error": "", "measures": json.dumps({one.method: _plain(one) for one in rows})}
    except WhyCadError as error:
        return {"error": failure_text(error), "measures": ""}


def _outline(mask: NDArray[np.bool_] | None, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Return people's outline of the finding, where it fits the image; never the model's own."""
    from whycad.audit.changes.outline import on_grid

    return None if mask is None or not mask.any() else on_grid(mask, shape)


def _plain(row: MethodRow) -> dict[str, object]:
    inside = None if row.inside is None else asdict(row.inside)
    return {"fidelity": asdict(row.fidelity), "repeats": asdict(row.repeats), "inside": inside}


def rows_from(measures: Sequence[str], groups: Sequence[str]) -> list[MethodRow]:
    """Rebuild what was measured of rows, in their order; rows that failed are left out.

    Parameters
    ----------
    measures : sequence of str (n,)
        Column ``measures``.
    groups : sequence of str (n,)
    """
    from whycad.audit.map_fidelity import MethodRow
    from whycad.explain.fidelity.inside import Inside
    from whycad.explain.fidelity.repeats import Repeats
    from whycad.types import Fidelity

    found = []
    for text, group in zip(measures, groups, strict=True):
        for method, parts in (json.loads(text) if text else {}).items():
            fidelity = {**parts["fidelity"], "remarks": tuple(parts["fidelity"]["remarks"])}
            repeats = {**parts["repeats"], "similarities": tuple(parts["repeats"]["similarities"])}
            inside = None if parts["inside"] is None else Inside(**parts["inside"])
            found.append(MethodRow(method, group, Fidelity(**fidelity), Repeats(**repeats), inside))
    return found

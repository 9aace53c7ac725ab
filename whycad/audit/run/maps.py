"""Maps of many images, coarse, and how they lie to the artefacts and to the border."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.audit.data.dataset import DatasetRef
from whycad.audit.run.chunk_files import failure_text
from whycad.audit.run.predicting import Case, columns_digest, plugin_digest, read_cases, row_contents
from whycad.errors import PredictionError, WhyCadError
from whycad.manifest import Manifest
from whycad.types import FloatArray

if TYPE_CHECKING:
    import pyarrow as pa

    from whycad.audit.run.engine import Worker
    from whycad.explain.base import ExplainOptions
    from whycad.inference import Ensemble
    from whycad.types import ModelInput

SIDE = 16
# Cells from the edge that are the border: an eighth of each side.
BORDER_CELLS = 2
MAPS_VERSION = 1


def border_cells() -> NDArray[np.bool_]:
    """Return which cells of a coarse map are at the border, ``(16, 16)``."""
    found = np.ones((SIDE, SIDE), bool)
    found[BORDER_CELLS:-BORDER_CELLS, BORDER_CELLS:-BORDER_CELLS] = False
    return found


def cheapest_method(manifest: Manifest) -> str:
    """Return the quickest gradient method that fits a task: Grad-CAM where a layer is named."""
    section = manifest.explain
    return "gradcam" if section.gradcam_layer and "gradcam" not in section.unfit else "input_x_gradient"


@dataclass(frozen=True)
class MapJob:
    """Make a map of every row, for the label that is predicted.

    Columns: ``error``; ``map`` (16 x 16, the positive part of what the network sees, summing to 1;
    empty where there is none); per kind of artefact that is found ``names``, ``mass`` (share of the
    map inside), ``shifted`` (the same of the map shifted elsewhere) and ``area``.

    Attributes
    ----------
    dataset : DatasetRef
        With a task.
    method : str
    device : str
    seed : int
    """

    dataset: DatasetRef
    method: str
    device: str = ""
    seed: int = 0
    name: str = "maps"

    @property
    def digest(self) -> str:
        """Hash of the task, of columns that it reads beside the images, the method and the seed."""
        from whycad.registry import discover

        plugin = discover().get(self.dataset.task)
        columns = columns_digest(self.dataset, plugin)
        return plugin_digest(plugin, method=self.method, seed=self.seed, maps=MAPS_VERSION, columns=columns)

    def content(self, rows: Sequence[int]) -> Sequence[str]:
        """Return the hash of each row's image."""
        return row_contents(self.dataset.open(), rows)

    def open(self) -> Worker:
        """Load the ensemble."""
        from whycad.explain.base import ExplainOptions
        from whycad.inference import choose_device, load_members
        from whycad.registry import discover

        plugin = discover().get(self.dataset.task)
        ensemble = load_members(plugin, choose_device(self.device or None))
        dataset = self.dataset.open()
        options = ExplainOptions(seed=self.seed, gradcam_layer=plugin.manifest.explain.gradcam_layer)

        def work(rows: Sequence[int]) -> pa.Table:
            import pyarrow as pa

            records = [_record(case, self.method, ensemble, options) for case in read_cases(dataset, rows)]
            numbers = pa.list_(pa.float32())
            named = [("error", pa.string()), ("map", numbers), ("names", pa.list_(pa.string()))]
            schema = pa.schema([*named, ("mass", numbers), ("shifted", numbers), ("area", numbers)])
            return pa.Table.from_pylist(records, schema)

        return work


def _record(case: Case | WhyCadError, method: str, ensemble: Ensemble, options: ExplainOptions) -> dict[str, object]:
    nothing: dict[str, object] = {"map": [], "names": [], "mass": [], "shifted": [], "area": []}
    try:
        if isinstance(case, WhyCadError):
            raise case
        return nothing | {"error": ""} | _mapped(case, method, ensemble, options)
    except WhyCadError as error:
        return nothing | {"error": failure_text(error)}


def _mapped(case: Case, method: str, ensemble: Ensemble, options: ExplainOptions) -> dict[str, object]:
    from whycad.explain import explain_on_model_grid
    from whycad.targets import target_of
    from whycad.volume import is_read_by_slices

    plugin, (study, region) = ensemble.plugin, case
    if is_read_by_slices(study, plugin.manifest):
        raise PredictionError("a volume that is read slice by slice gets no map here")
    inputs = plugin.preprocess(study, region)
    target = target_of(_predicted(inputs, ensemble), plugin.manifest).columns(plugin.manifest.label_codes)
    values = explain_on_model_grid(method, ensemble, inputs, target, options).map
    return {"map": coarse(values[seen(inputs)]).ravel().tolist(), **_in_artefacts(case, inputs, values, ensemble)}


def seen(inputs: ModelInput) -> tuple[slice, ...]:
    """Return the box of the model's grid that holds the image: not padding, nor slices that are not there."""
    from whycad.explain.perturbation import active_box

    return active_box(inputs.array, np.broadcast_to(np.asarray(inputs.baseline, np.float32), inputs.array.shape))


def _predicted(inputs: ModelInput, ensemble: Ensemble) -> str:
    from whycad.scoring import calibration_of, score_inputs
    from whycad.uncertainty.assemble import predictions_from

    manifest, calibration = ensemble.plugin.manifest, calibration_of(ensemble.plugin)
    numbers = score_inputs([inputs], ensemble, calibration)
    return predictions_from(numbers, manifest, calibration, 0.9)[0].predicted


def _in_artefacts(case: Case, inputs: ModelInput, values: FloatArray, ensemble: Ensemble) -> dict[str, object]:
    """Measure how much of a map lies in each kind of artefact."""
    from whycad.explain.fidelity.inside import inside, mask_on_model_grid
    from whycad.whatif.artefacts import find_artefacts

    found = find_artefacts(case[0], ensemble.plugin)
    columns: dict[str, list[object]] = {"names": [], "mass": [], "shifted": [], "area": []}
    for name in dict.fromkeys(item.name for item in found):
        mask = np.any([item.mask for item in found if item.name == name], axis=0)
        lies = inside(values, mask_on_model_grid(mask, inputs.geometry), seen(inputs))
        if lies is not None:
            for key, value in zip(columns, (name, lies.mass, lies.mass_shifted, lies.area), strict=True):
                columns[key].append(value)
    return dict(columns)


def coarse(values: FloatArray) -> NDArray[np.float64]:
    """Return the positive part of a map ``(H, W)`` or ``(Z, H, W)`` summed into 16 x 16 cells that add up to 1.

    Returns
    -------
    ndarray (16, 16)
        All 0 where nothing is positive.
    """
    positive = np.clip(np.asarray(values, np.float64), 0, None)
    plane = positive.sum(axis=0) if positive.ndim == 3 else positive
    found = np.zeros((SIDE, SIDE))
    rows, columns = (_cell_of(side) for side in plane.shape)
    np.add.at(found, (rows[:, None], columns[None, :]), plane)
    counts = np.zeros((SIDE, SIDE))
    np.add.at(counts, (rows[:, None], columns[None, :]), 1.0)
    # Sides are no multiples of 16: cells of more pixels would weigh more.
    mean = np.divide(found, counts, out=np.zeros_like(found), where=counts > 0)
    return mean / mean.sum() if mean.sum() > 0 else mean


def _cell_of(side: int) -> NDArray[np.int64]:
    return (np.arange(side) * SIDE) // side


@dataclass(frozen=True, eq=False)
class MapsMade:
    """Maps of n rows.

    Attributes
    ----------
    scope : ndarray of int64 (n,)
        Places in the audit's scope.
    maps : ndarray (n, 16, 16)
        NaN where there is none.
    mass, shifted, area : mapping of str to ndarray (n,)
        By kind of artefact; NaN where a row has none.
    """

    scope: NDArray[np.int64]
    maps: NDArray[np.float64]
    mass: dict[str, NDArray[np.float64]]
    shifted: dict[str, NDArray[np.float64]]
    area: dict[str, NDArray[np.float64]]


def maps_from(table: pa.Table, scope: NDArray[np.int64]) -> MapsMade:
    """Return the job's table as arrays."""
    n = len(scope)
    maps = np.full((n, SIDE, SIDE), np.nan)
    for row, cells in enumerate(table["map"].to_pylist()):
        if cells and sum(cells) > 0:
            maps[row] = np.array(cells, np.float64).reshape(SIDE, SIDE)
    figures: dict[str, dict[str, NDArray[np.float64]]] = {"mass": {}, "shifted": {}, "area": {}}
    names = table["names"].to_pylist()
    for key, by_kind in figures.items():
        for row, values in enumerate(table[key].to_pylist()):
            for kind, value in zip(names[row], values, strict=True):
                by_kind.setdefault(kind, np.full(n, np.nan))[row] = value
    return MapsMade(scope, maps, figures["mass"], figures["shifted"], figures["area"])

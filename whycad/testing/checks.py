"""What a plugin must keep to: each ``check_*`` takes a ``Plugin`` and raises when something is broken."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from torch import Tensor

from whycad.engine import check_output, choose_device
from whycad.errors import GeometryError, ManifestError, PluginError, PredictionError, WeightsError
from whycad.inference import Ensemble, load_members
from whycad.pipeline import analyse, calibration_of
from whycad.plugin import Plugin, contained
from whycad.registry import card_problem, misfit
from whycad.testing.probes import probe_shapes, region_for, spot_pair, spot_sigma, textured_study
from whycad.types import AnalysisRequest, ModelInput

UNSAFE_TEXT = re.compile(r"<\s*[a-zA-Z!/]|\]\(|!\[|javascript:|data:text/html", re.IGNORECASE)
# A peak may be off by the spot's own width and by one model pixel, not more.
SPOT_POSITIONS = ((0.30, 0.40), (0.62, 0.35), (0.40, 0.68), (0.70, 0.60))
BATCH_TOLERANCE = 1e-3


class NotApplicable(Exception):  # noqa: N818 - not an error: the plugin has nothing for this check
    """The plugin has nothing that this check could look at; the text says what."""


def check_manifest(plugin: Plugin) -> None:
    """Check that every text of the manifest is plain: no markup, no links, nothing invisible.

    Raises
    ------
    ManifestError
    """
    for place, text in _texts(plugin.manifest, "plugin.toml"):
        if not text.isprintable():
            raise ManifestError(f"{plugin.label}: {place} holds control or invisible characters")
        if UNSAFE_TEXT.search(text):
            raise ManifestError(f"{plugin.label}: {place} holds HTML or Markdown; write plain text")


def check_card(plugin: Plugin) -> None:
    """Check that the model card exists, has a valid header and is of this id and version.

    Raises
    ------
    ManifestError
    """
    problem = card_problem(plugin)
    if problem:
        raise ManifestError(f"{plugin.label}: {problem}", remedy=f"run `whycad card --task {plugin.id}`")


def check_build(plugin: Plugin) -> None:
    """Check that two builds give the same tensors and that layers the manifest names exist.

    Raises
    ------
    PluginError
    """
    first, second = plugin.build_model(), plugin.build_model()
    shapes = [{name: tuple(t.shape) for name, t in model.state_dict().items()} for model in (first, second)]
    if shapes[0] != shapes[1]:
        raise PluginError(f"{plugin.label}: build_model returns another network each time")
    layer = plugin.manifest.explain.gradcam_layer
    if layer and layer not in dict(first.named_modules()):
        raise PluginError(f"{plugin.label}: explain.gradcam_layer {layer!r} is no module of the network")


def check_preprocess(plugin: Plugin) -> None:
    """Check that images of every admitted size become what the manifest declares, and stay as they were.

    Raises
    ------
    PluginError
    """
    for shape in probe_shapes(plugin.manifest.input):
        study = textured_study(plugin.manifest, shape)
        before = study.pixels.copy()
        _preprocess(plugin, shape)
        inputs = plugin.preprocess(study, region_for(plugin.manifest, shape))
        if not np.array_equal(before, study.pixels):
            raise PluginError(f"{plugin.label}: preprocess changes the study's pixels in place")
        baseline = np.asarray(inputs.baseline)
        if not np.isfinite(baseline).all() or np.broadcast_shapes(baseline.shape, inputs.array.shape) != (
            inputs.array.shape
        ):
            raise PluginError(f"{plugin.label}: preprocess returned a baseline that does not fit the array")


def check_determinism(plugin: Plugin) -> None:
    """Check that an image gives the same input and output whatever the global random state.

    Raises
    ------
    PluginError
    """
    inputs, outputs = [], []
    for seed in (0, 1):
        np.random.seed(seed)  # a plugin that draws from the global state is what is looked for
        torch.manual_seed(seed)
        inputs.append(_preprocess(plugin))
    if not np.array_equal(inputs[0].array, inputs[1].array):
        raise PluginError(f"{plugin.label}: preprocess gives another array for the same image")
    if not np.array_equal(inputs[0].geometry.to_source, inputs[1].geometry.to_source):
        raise PluginError(f"{plugin.label}: preprocess gives another geometry for the same image")
    run = _forward_function(plugin)
    for seed in (0, 1):
        torch.manual_seed(seed)
        outputs.append(run(torch.from_numpy(inputs[0].array)[None]))
    if not torch.equal(outputs[0], outputs[1]):
        raise PluginError(f"{plugin.label}: the network gives another output for the same input")


def check_geometry_round_trip(plugin: Plugin) -> None:
    """Check that a spot in the image lands in the input where the geometry says, and maps back.

    Catches flips, transposes, forgotten crops and half-pixel shifts that grow with the scale.

    Raises
    ------
    GeometryError
    """
    shape = probe_shapes(plugin.manifest.input)[1]
    region = region_for(plugin.manifest, shape)
    for position in SPOT_POSITIONS:
        centre = np.array([position[axis % 2] for axis in range(len(shape))]) * (np.array(shape) - 1)
        plain, marked = (plugin.preprocess(study, region) for study in spot_pair(plugin.manifest, shape, centre))
        geometry = marked.geometry
        expected = geometry.points_to_model(centre[None])[0]
        if np.any(expected < 1) or np.any(expected > np.array(geometry.model_shape) - 2):
            continue  # outside the field of view that the plugin chose
        found = _peak(np.abs(marked.array - plain.array).sum(axis=0))
        back = geometry.points_to_source(found[None])[0]
        step = np.abs(np.linalg.norm(geometry.to_source[:-1, :-1], axis=0))
        allowed = spot_sigma(shape) + float(step.max())
        if float(np.linalg.norm(back - centre)) > allowed:
            raise GeometryError(
                f"{plugin.label}: a spot at {_point(centre)} of the image maps back to {_point(back)}: "
                "preprocess and its geometry disagree",
                remedy="look for a flip, a transpose or a forgotten crop",
            )


def check_forward(plugin: Plugin) -> None:
    """Check that the network gives one finite row of logits per input, the same alone and in a batch.

    Raises
    ------
    PluginError, PredictionError
    """
    spec = plugin.manifest.input
    inputs = [_preprocess(plugin, seed=seed).array for seed in range(3)]
    run = _forward_function(plugin)
    together = run(torch.from_numpy(np.stack(inputs)))
    apart = torch.cat([run(torch.from_numpy(array)[None]) for array in inputs])
    scale = max(1.0, float(together.abs().max()))
    if float((together - apart).abs().max()) > BATCH_TOLERANCE * scale:
        raise PluginError(f"{plugin.label}: the network's output for an image depends on the others in the batch")
    zeros = run(torch.zeros((1, spec.channels, *spec.shape)))
    check_output(plugin, zeros, 1, len(plugin.manifest.labels))


def check_weights(plugin: Plugin) -> None:
    """Check that every weights file has its hash and fits the network, and no two members are the same.

    Raises
    ------
    WeightsError
    """
    files = plugin.manifest.weights.files
    if not files:
        raise NotApplicable("plugin.toml names no weights")
    load_members(plugin, choose_device("cpu"))
    if len({file.sha256 for file in files}) != len(files):
        raise WeightsError(f"{plugin.label}: two members have the same weights")


def check_calibration(plugin: Plugin) -> None:
    """Check that the calibration is of these labels and weights and has every operating point.

    Raises
    ------
    ManifestError
    """
    if plugin.calibration_path() is None:
        raise NotApplicable("plugin.toml names no calibration")
    if not plugin.manifest.weights.files:
        raise NotApplicable("plugin.toml names no weights to calibrate")
    calibration = calibration_of(plugin)
    missing = {point.name for point in plugin.manifest.operating_points} - set(calibration.operating_points)
    if missing:
        raise ManifestError(f"{plugin.label}: the calibration lacks operating point {sorted(missing)[0]!r}")
    if set(calibration.conformal_scores) != set(plugin.manifest.label_codes):
        raise ManifestError(f"{plugin.label}: the calibration lacks conformal scores of some labels")


def check_explain(plugin: Plugin) -> None:
    """Check that every declared method exists, and that all that fit give a finite map on the image's grid.

    What readers are not offered is checked too: researchers may ask for it. A method that cannot
    work on the network belongs in ``explain.unfit``.

    Raises
    ------
    ExplanationError, PluginError
    """
    from whycad.explain import METHODS, ExplainOptions, explain, fitting_methods

    unknown = sorted(set(plugin.manifest.explain.methods) - set(METHODS))
    if unknown:
        raise PluginError(f"{plugin.label}: there is no explanation method {unknown[0]!r}")
    ensemble = loaded_ensemble(plugin)
    inputs = _preprocess(plugin)
    options = ExplainOptions(
        gradcam_layer=plugin.manifest.explain.gradcam_layer,
        n_samples=40,
        n_segments=12,
        ig_steps=8,
        noise_samples=4,
        occlusion_window=max(4, max(plugin.manifest.input.shape) // 3),
    )
    for method in fitting_methods(plugin.manifest.explain):
        result = explain(method, ensemble, inputs, 0, plugin.manifest.label_codes[0], options)
        if result.map.shape != inputs.geometry.source_shape or not np.isfinite(result.map).all():
            raise PluginError(f"{plugin.label}: method {method!r} gives a map of shape {result.map.shape}")


def check_phantom(plugin: Plugin) -> None:
    """Check that simulated cases are admitted, marked as simulated, and have a usable answer.

    Raises
    ------
    PluginError
    """
    if plugin.manifest.code.phantom is None:
        raise NotApplicable("plugin.toml names no phantom")
    cases = plugin.phantom()
    names = [case.name for case in cases]
    if not cases or len(set(names)) != len(names):
        raise PluginError(f"{plugin.label}: the phantom gives no cases, or two of one name")
    for case in cases:
        where = f"{plugin.label}: phantom case {case.name[:40]!r}"
        problem = misfit(plugin.manifest, case.study)
        if problem:
            raise PluginError(f"{where} is not admitted: {problem}")
        if not case.study.simulated:
            raise PluginError(f"{where} is not marked as simulated")
        if case.label not in plugin.manifest.label_codes:
            raise PluginError(f"{where} has a label that the task does not have")
        if case.mask.shape != case.study.spatial_shape or not case.mask.any() or case.mask.all():
            raise PluginError(f"{where} has no usable mask")


def check_analysis(plugin: Plugin) -> None:
    """Check that a whole analysis gives probabilities and a label, twice the same.

    Raises
    ------
    WhyCadError
    """
    ensemble = loaded_ensemble(plugin)
    if plugin.calibration_path() is None:
        raise NotApplicable("plugin.toml names no calibration")
    shape = probe_shapes(plugin.manifest.input)[1]
    study, request = textured_study(plugin.manifest, shape), AnalysisRequest(region=region_for(plugin.manifest, shape))
    first, second = (analyse(study, plugin, request, ensemble=ensemble).prediction for _ in range(2))
    if not np.isfinite(first.probabilities).all() or first.predicted not in plugin.manifest.label_codes:
        raise PredictionError(f"{plugin.label}: an analysis gives no probabilities")
    if not np.array_equal(first.probabilities, second.probabilities):
        raise PredictionError(f"{plugin.label}: two analyses of one image differ")


def _texts(value: object, place: str) -> Iterator[tuple[str, str]]:
    """Walk every string of a manifest, with its place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _texts(getattr(value, name), f"{place}, {name}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key, f"{place}, a key")
            yield from _texts(item, place)
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts(item, place)


def _preprocess(plugin: Plugin, shape: Sequence[int] | None = None, seed: int = 0) -> ModelInput:
    shape = shape if shape is not None else probe_shapes(plugin.manifest.input)[0]
    return plugin.preprocess(textured_study(plugin.manifest, shape, seed), region_for(plugin.manifest, shape))


@lru_cache(maxsize=1)  # by identity of the plugin: the checks of one run share a loaded ensemble
def loaded_ensemble(plugin: Plugin) -> Ensemble:
    """Load a plugin's members on the CPU, once for the checks of one run.

    Raises
    ------
    NotApplicable
        When plugin.toml names no weights.
    WeightsError, PluginError
    """
    if not plugin.manifest.weights.files:
        raise NotApplicable("plugin.toml names no weights")
    return load_members(plugin, choose_device("cpu"))


def _forward_function(plugin: Plugin) -> Callable[[Tensor], Tensor]:
    """Return the first member's checked forward pass; untrained where there are no weights."""
    if plugin.manifest.weights.files:
        model = loaded_ensemble(plugin).members[0]
    else:
        torch.manual_seed(0)
        model = plugin.build_model().eval()

    def run(batch: Tensor) -> Tensor:
        with torch.no_grad(), contained(plugin, "forward"):
            output = model(batch)
        return check_output(plugin, output, len(batch), len(plugin.manifest.labels))

    return run


def _peak(difference: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the centre of the strongest part of a map."""
    strong = np.where(difference >= 0.7 * difference.max(), difference, 0.0)
    grid = np.meshgrid(*(np.arange(side) for side in difference.shape), indexing="ij")
    total = float(strong.sum())
    if total <= 0:
        return np.full(difference.ndim, -1e6)
    return np.array([float((strong * axis).sum()) / total for axis in grid])


def _point(point: NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{value:.1f}" for value in point) + ")"

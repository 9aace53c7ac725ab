"""What a plugin's optional functions must keep to: gate, survey, evidence, rows, strangeness, slices, single images."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from PIL import Image

from whycad.datasets.pack import Pack
from whycad.errors import DatasetError, GeometryError, ManifestError, PluginError, PredictionError, WhyCadError
from whycad.inference import Ensemble
from whycad.pipeline import analyse, predict_batch
from whycad.plugin import Plugin
from whycad.reading import mean_outputs
from whycad.reference import fits, read_reference
from whycad.scoring import check_region
from whycad.testing.checks import BATCH_TOLERANCE, UNSAFE_TEXT, NotApplicable, loaded_ensemble
from whycad.testing.probes import probe_shapes, region_for, textured_study
from whycad.types import AnalysisRequest, Evidence, ModelInput, Prediction, Study
from whycad.volume import slice_study

P = ParamSpec("P")
T = TypeVar("T")
SIDES = (96, 112)
N_SLICES = 3


def check_gate(plugin: Plugin) -> None:
    """Check that the gate gives plain sentences, the same twice, and leaves the image as it was.

    Raises
    ------
    PluginError
    """
    if plugin.manifest.code.gate is None:
        raise NotApplicable("plugin.toml names no gate")
    for shape in probe_shapes(plugin.manifest.input):
        study, region = textured_study(plugin.manifest, shape), region_for(plugin.manifest, shape)
        before = study.pixels.copy()
        first, second = (_seeded(seed, plugin.gate, study, region) for seed in (0, 1))
        if not np.array_equal(before, study.pixels):
            raise PluginError(f"{plugin.label}: gate changes the study's pixels in place")
        if first != second:
            raise PluginError(f"{plugin.label}: gate says something else about the same image")
        _check_words(plugin, "gate", first)


def check_survey(plugin: Plugin) -> None:
    """Check that one survey serves gate and preprocessing like one for each, twice, with another image in between.

    Catches a survey that one of them changes for the other, and one that the next image overwrites.

    Raises
    ------
    PluginError
    """
    if plugin.manifest.code.survey is None:
        raise NotApplicable("plugin.toml names no survey")
    for shape in probe_shapes(plugin.manifest.input):
        region = region_for(plugin.manifest, shape)
        study, other = (textured_study(plugin.manifest, shape, seed) for seed in (0, 1))
        before = study.pixels.copy()
        plugin.survey(study, region)
        if not np.array_equal(before, study.pixels):
            raise PluginError(f"{plugin.label}: survey changes the study's pixels in place")
        reasons, inputs = plugin.gate(study, region), plugin.preprocess(study, region)
        survey = plugin.survey(study, region)
        plugin.survey(other, region)
        for _ in range(2):
            if plugin.gate(study, region, survey) != reasons:
                raise PluginError(f"{plugin.label}: gate says something else with a shared survey")
            if not _same_inputs(plugin.preprocess(study, region, survey), inputs):
                raise PluginError(f"{plugin.label}: preprocess gives another input with a shared survey")


def check_evidence(plugin: Plugin) -> None:
    """Check that evidence is the same twice, alone and in a batch, and fit to be shown.

    Raises
    ------
    PluginError
    """
    if plugin.manifest.code.evidence is None:
        raise NotApplicable("plugin.toml names no evidence")
    ensemble = loaded_ensemble(plugin) if plugin.manifest.weights.files else _untrained(plugin)
    shape = probe_shapes(plugin.manifest.input)[0]
    cases = [_case(plugin, shape, seed) for seed in range(2)]
    together = mean_outputs([inputs for _, inputs in cases], ensemble)
    study, inputs = cases[0]
    alone = mean_outputs([inputs], ensemble)
    for name, array in alone.items():
        scale = max(1.0, float(np.abs(array).max()))
        if float(np.abs(together[name][0] - array[0]).max()) > BATCH_TOLERANCE * scale:
            raise PluginError(f"{plugin.label}: forward_evidence, {name[:40]!r}, depends on the others in the batch")
    before = study.pixels.copy(), inputs.array.copy()
    outputs = {name: array[0] for name, array in alone.items()}
    first, second = (_seeded(seed, plugin.evidence, study, inputs, outputs) for seed in (0, 1))
    if not (np.array_equal(before[0], study.pixels) and np.array_equal(before[1], inputs.array)):
        raise PluginError(f"{plugin.label}: evidence changes the image in place")
    if not _same(first, second):
        raise PluginError(f"{plugin.label}: evidence differs for the same image")
    _check_names(plugin, first)


def check_reference(plugin: Plugin) -> None:
    """Check that the reference distributions are there, of these weights, and of labels that the task has.

    Raises
    ------
    ManifestError
    """
    path = plugin.reference_path()
    if path is None:
        raise NotApplicable("plugin.toml names no reference")
    reference = read_reference(path)
    remedy = f"make them with `whycad reference --task {plugin.id}`"
    if not fits(reference, plugin):
        raise ManifestError(f"{plugin.label}: the reference distributions were made with other weights", remedy=remedy)
    known = (*reference.measurements.values(), *reference.concepts.values())
    unknown = sorted({code for item in known for code in item.labels} - set(plugin.manifest.label_codes))
    if unknown:
        raise ManifestError(f"{plugin.label}: the reference distributions have an unknown label {unknown[0]!r}")


def check_row_reader(plugin: Plugin) -> None:
    """Check that rows of a bare pack become studies, or are refused with a ``DatasetError``.

    Packs may lack every optional column.

    Raises
    ------
    PluginError
    """
    if plugin.row_reader is None:
        raise NotApplicable("plugin.toml names no read_row")
    for pack in _bare_packs():
        before = {name: array.copy() for name, array in pack.arrays.items()}
        try:
            (study, region), (again, _) = (plugin.row_reader(pack, 1) for _ in range(2))
        except DatasetError:
            continue
        where = f"{plugin.label}: read_row, a pack with nothing but images"
        if study.pixels.dtype != np.float32 or not np.isfinite(study.pixels).all():
            raise PluginError(f"{where}: pixels must be finite float32")
        if not np.array_equal(study.pixels, again.pixels):
            raise PluginError(f"{where}: the same row gives another image")
        if any(not np.array_equal(before[name], array) for name, array in pack.arrays.items()):
            raise PluginError(f"{where}: the pack's arrays are changed in place")
        try:
            check_region(study, region)
        except GeometryError as error:
            raise PluginError(f"{where}: {error}") from error


def check_strange(plugin: Plugin) -> None:
    """Check that strangeness scores are the same alone and in a batch and leave the inputs as they were.

    Raises
    ------
    PluginError
    """
    if plugin.manifest.code.strange is None:
        raise NotApplicable("plugin.toml names no strange")
    shape = probe_shapes(plugin.manifest.input)[0]
    batch = np.stack([_case(plugin, shape, seed)[1].array for seed in range(3)])
    before = batch.copy()
    together = plugin.strange(batch)
    apart = [plugin.strange(batch[i : i + 1]) for i in range(len(batch))]
    if not np.array_equal(batch, before):
        raise PluginError(f"{plugin.label}: strange changes the inputs in place")
    assert together is not None
    alone = np.concatenate([scores for scores in apart if scores is not None])
    scale = max(1.0, float(np.abs(together).max()))
    if float(np.abs(together - alone).max()) > BATCH_TOLERANCE * scale:
        raise PluginError(f"{plugin.label}: strange depends on the others in the batch")


def check_slices(plugin: Plugin) -> None:
    """Check that a volume's slices get the numbers that they get alone, and that its map is a volume.

    Raises
    ------
    PluginError, PredictionError
    """
    if not plugin.manifest.input.per_slice:
        raise NotApplicable("plugin.toml does not read volumes slice by slice")
    ensemble = _calibrated(plugin)
    volume = textured_study(plugin.manifest, (N_SLICES, *probe_shapes(plugin.manifest.input)[1]))
    request = AnalysisRequest(explain=plugin.manifest.explain.methods[:1], grade=False)
    result = analyse(volume, plugin, request, ensemble=ensemble)
    if result.profile is None or not np.isfinite(result.profile.probabilities).all():
        raise PredictionError(f"{plugin.label}: a volume has slices without probabilities")
    alone = [analyse(slice_study(volume, i), plugin, AnalysisRequest(), ensemble=ensemble) for i in range(N_SLICES)]
    apart = np.stack([one.prediction.probabilities for one in alone])
    if float(np.abs(apart - result.profile.probabilities).max()) > BATCH_TOLERANCE:
        raise PluginError(f"{plugin.label}: a slice of a volume gets other numbers than the same slice alone")
    if any(item.map.shape != volume.spatial_shape for item in result.attributions):
        raise PluginError(f"{plugin.label}: the map of a volume is not on its grid")


def check_single_image(plugin: Plugin) -> None:
    """Check that a network of volumes reads a single image or says in words why not.

    Raises
    ------
    PluginError, PredictionError
    """
    if len(plugin.manifest.input.shape) != 3:
        raise NotApplicable("the network does not read volumes")
    shape = probe_shapes(plugin.manifest.input)[1][1:]
    study, region = textured_study(plugin.manifest, shape), region_for(plugin.manifest, shape)
    try:
        plugin.preprocess(study, region)
    except PluginError:
        raise
    except WhyCadError:
        return
    ensemble = _calibrated(plugin)
    predicted = predict_batch([study], plugin, ensemble, regions=[region])[0]
    if not isinstance(predicted, Prediction):
        raise predicted
    request = AnalysisRequest(explain=plugin.manifest.explain.methods[:1], region=region, grade=False)
    result = analyse(study, plugin, request, ensemble=ensemble)
    if any(item.map.shape != study.spatial_shape for item in result.attributions):
        raise PluginError(f"{plugin.label}: the map of a single image is not on its grid")


def _untrained(plugin: Plugin) -> Ensemble:
    torch.manual_seed(0)
    return Ensemble(plugin, [plugin.build_model().eval()], torch.device("cpu"))


def _seeded(seed: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function under one state of the global generator, which it should not look at."""
    np.random.seed(seed)
    return function(*args, **kwargs)


def _calibrated(plugin: Plugin) -> Ensemble:
    ensemble = loaded_ensemble(plugin)
    if plugin.calibration_path() is None:
        raise NotApplicable("plugin.toml names no calibration")
    return ensemble


def _case(plugin: Plugin, shape: tuple[int, ...], seed: int) -> tuple[Study, ModelInput]:
    study = textured_study(plugin.manifest, shape, seed)
    return study, plugin.preprocess(study, region_for(plugin.manifest, shape))


def _same_inputs(first: ModelInput, second: ModelInput) -> bool:
    return np.array_equal(first.array, second.array) and np.array_equal(
        first.geometry.to_source, second.geometry.to_source
    )


def _same(first: Evidence, second: Evidence) -> bool:
    masks = zip(first.segmentations, second.segmentations, strict=False)
    return (
        first.measurements == second.measurements
        and first.concepts == second.concepts
        and len(first.segmentations) == len(second.segmentations)
        and all(a.name == b.name and np.array_equal(a.mask, b.mask) for a, b in masks)
    )


def _check_names(plugin: Plugin, evidence: Evidence) -> None:
    for kind, items in (
        ("measurement", evidence.measurements),
        ("concept", evidence.concepts),
        ("segmentation", evidence.segmentations),
    ):
        names = [item.name for item in items]
        if len(set(names)) != len(names):
            raise PluginError(f"{plugin.label}: evidence names two {kind}s alike")
        _check_words(plugin, "evidence", names)
    for measurement in evidence.measurements:
        _check_words(plugin, "evidence", (measurement.unit or "1", measurement.method or "-"))
        span = measurement.reference_range
        if span is not None and not (np.isfinite(span).all() and span[0] <= span[1]):
            raise PluginError(f"{plugin.label}: evidence, {measurement.name[:40]!r}: no range from low to high")
    for concept in evidence.concepts:
        _check_words(plugin, "evidence", (concept.question or "-", *concept.levels))
        if len(concept.levels) < 2:
            raise PluginError(f"{plugin.label}: evidence, concept {concept.name[:40]!r} has fewer than two levels")


def _check_words(plugin: Plugin, function: str, words: tuple[str, ...] | list[str]) -> None:
    for text in words:
        if not text.strip() or not text.isprintable() or UNSAFE_TEXT.search(text):
            raise PluginError(f"{plugin.label}: {function} returned words that are not plain text")


def _bare_packs() -> Iterator[Pack]:
    """Yield packs of two grey images in the layouts that hold single images, without any other column."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, *SIDES), dtype=np.uint8)
    yield Pack(Path("bare.npz"), {"images": images})
    yield Pack(Path("bare.npz"), {"image": images})
    files = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG")
        files.append(buffer.getvalue())
    offsets = np.cumsum([0, *(len(file) for file in files)])
    yield Pack(Path("bare.npz"), {"jpeg": np.frombuffer(b"".join(files), np.uint8), "jpeg_offsets": offsets})

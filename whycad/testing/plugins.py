"""Small real plugins, written to a folder: for tests of the core and as an example to authors."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from whycad.plugin import Plugin, load_plugin
from whycad.testing.tiny_net import TinyNet, TinyVolumeNet
from whycad.types import Study
from whycad.uncertainty.calibration import Calibration, CalibrationSource, StoredOperatingPoint
from whycad.weights import file_sha256

MODEL = '''
from whycad.testing.tiny_net import TinyNet


def build_model():
    """Build one untrained member."""
    return TinyNet({channels}, {n_labels})
'''

PREPROCESS = '''
"""Nearest-neighbour resize to the model's grid."""

import numpy as np

from whycad.types import Geometry, ModelInput

SHAPE = {shape}


def preprocess(study, region=None):
    """Resize the whole image; pixels in 0..1 become -1..1."""
    height, width = study.spatial_shape
    scale = (height / SHAPE[0], width / SHAPE[1])
    rows = np.clip(np.rint((np.arange(SHAPE[0]) + 0.5) * scale[0] - 0.5).astype(int), 0, height - 1)
    columns = np.clip(np.rint((np.arange(SHAPE[1]) + 0.5) * scale[1] - 0.5).astype(int), 0, width - 1)
    sampled = study.pixels[np.ix_(rows, columns)]
    array = sampled[None] if sampled.ndim == 2 else np.moveaxis(sampled, -1, 0)
    to_source = np.diag([scale[0], scale[1], 1.0])
    to_source[:2, 2] = [(scale[0] - 1) / 2, (scale[1] - 1) / 2]
    geometry = Geometry(to_source, SHAPE, (height, width))
    return ModelInput(np.ascontiguousarray(array * 2 - 1, dtype=np.float32), geometry)
'''

MANIFEST = """
schema_version = 1
id = "{id}"
version = "0.1.0"
title = "{title}"
kind = "{kind}"
evidence_level = "simulated"
intended_use = "Tests only."
{labels}
[input]
modalities = {modalities}
colour = {colour}
channels = {channels}
shape = {shape}
value_range = [0.0, 1.0]
min_size_px = 16
{input}
[code]
build_model = "model:build_model"
preprocess = "preprocess:preprocess"
{code}
[weights]
files = [{files}]
{calibration}
[inference]
tta = {tta}

[explain]
methods = ["gradcam", "ig", "occlusion", "lime"]
gradcam_layer = "layer1"
{more}"""


@dataclass(frozen=True)
class TinyPlugin:
    """What ``write_plugin`` should write; every default gives a plugin that works.

    Attributes
    ----------
    id, title : str
    kind : str
        What the labels mean to each other.
    labels : tuple of str
        Label codes; the names are made from them.
    shape : tuple of int
        The network's input size.
    colour : bool
    n_members : int
    tta : tuple of str
        Test-time views.
    half : bool
        Whether weights are stored in half precision.
    model, preprocess : str
        Python source to use instead of the working one; ``{n_labels}``, ``{channels}`` and
        ``{shape}`` are filled in.
    files : mapping of str to str
        More files, by name.
    code, input : str
        More lines for ``[code]``, such as ``phantom = "phantom:sample_cases"``, and for ``[input]``.
    more : str
        More sections of the manifest, such as ``[decision]``.
    must_not_miss : tuple of str
        Codes of the labels that are marked so.
    modalities : tuple of str
    calibrated : bool
        Whether a plausible ``calibration.json`` for these weights is written and declared.
    """

    id: str = "tiny"
    title: str = "Tiny test task"
    kind: str = "multiclass"
    labels: tuple[str, ...] = ("a", "b", "c")
    shape: tuple[int, ...] = (32, 40)
    colour: bool = True
    n_members: int = 2
    tta: tuple[str, ...] = ("identity", "flip_columns")
    half: bool = False
    model: str = MODEL
    preprocess: str = PREPROCESS
    files: Mapping[str, str] = field(default_factory=dict)
    code: str = ""
    input: str = ""
    more: str = ""
    must_not_miss: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ("OT", "XC")
    calibrated: bool = True

    @property
    def channels(self) -> int:
        """Input channels: 3 for colour, else 1."""
        return 3 if self.colour else 1


def write_plugin(parent: Path, spec: TinyPlugin | None = None) -> Plugin:
    """Write a plugin folder ``parent / spec.id`` with random, seeded weights.

    Parameters
    ----------
    parent : Path
        A folder to give to ``discover([parent])``; made where missing.
    spec : TinyPlugin, optional

    Returns
    -------
    Plugin
        Loaded from the folder; no code of it has been imported.
    """
    spec = spec or TinyPlugin()
    folder = parent / spec.id
    (folder / "weights").mkdir(parents=True, exist_ok=True)
    _write(folder / "model.py", _fill(spec.model, spec))
    _write(folder / "preprocess.py", _fill(spec.preprocess, spec))
    for name, text in spec.files.items():
        _write(folder / name, text)
    write_manifest(folder, spec, write_weights(folder, spec))
    plugin = load_plugin(folder)
    if spec.calibrated:
        _write(folder / "calibration.json", make_calibration(plugin).model_dump_json())
    return plugin


def make_calibration(plugin: Plugin) -> Calibration:
    """Return a calibration that leaves probabilities as they are; its scores are uniform in 0..1."""
    codes = plugin.manifest.label_codes
    k = len(codes)
    source = CalibrationSource(
        dataset="made", selection="none", n=100, n_groups=100, weights_sha256=plugin.weights_sha256
    )
    scores = tuple(float(score) for score in np.linspace(0.0, 1.0, 99))
    points = {
        point.name: StoredOperatingPoint(
            threshold=0.5, sensitivity=point.sensitivity, specificity=0.5, n_positive=50, n_negative=50
        )
        for point in plugin.manifest.operating_points
    }
    return Calibration(
        source=source,
        labels=codes,
        log_prior_shift=(0.0,) * k,
        temperature=1.0,
        offset=(0.0,) * k,
        prior=(1.0 / k,) * k,
        conformal_scores=dict.fromkeys(codes, scores),
        epistemic_quantiles=tuple(float(q) for q in np.linspace(0.0, 1.0, 101)),
        operating_points=points,
    )


def write_weights(folder: Path, spec: TinyPlugin) -> dict[str, str]:
    """Write one random safetensors file per member of the working net; return path to hash."""
    hashes: dict[str, str] = {}
    net = TinyNet if len(spec.shape) == 2 else TinyVolumeNet
    donor = net(spec.channels, len(spec.labels)).state_dict()
    for member in range(spec.n_members):
        generator = torch.Generator().manual_seed(member)
        state = {name: _random_like(name, tensor, generator) for name, tensor in donor.items()}
        if spec.half:
            state = {name: t.half() if t.is_floating_point() else t for name, t in state.items()}
        path = folder / "weights" / f"member{member}.safetensors"
        save_file(state, path)
        hashes[f"weights/{path.name}"] = file_sha256(path)
    return hashes


def write_manifest(folder: Path, spec: TinyPlugin, weights: Mapping[str, str]) -> None:
    """Write ``plugin.toml`` for the given weight files and hashes."""
    labels = "".join(
        f'\n[[labels]]\ncode = "{code}"\nname = "Label {code}"\n'
        f"must_not_miss = {str(code in spec.must_not_miss).lower()}\n"
        for code in spec.labels
    )
    files = ", ".join(f'{{ path = "{path}", sha256 = "{sha}" }}' for path, sha in weights.items())
    text = MANIFEST.format(
        id=spec.id,
        title=spec.title,
        kind=spec.kind,
        labels=labels,
        modalities=json.dumps(list(spec.modalities)),
        colour=str(spec.colour).lower(),
        channels=spec.channels,
        shape=list(spec.shape),
        code=spec.code,
        input=spec.input,
        more=spec.more,
        files=files,
        calibration='\n[calibration]\nfile = "calibration.json"\n' if spec.calibrated else "",
        tta=json.dumps(list(spec.tta)),
    )
    _write(folder / "plugin.toml", text)


def make_study(shape: tuple[int, int] = (48, 60), *, colour: bool = True, seed: int = 0) -> Study:
    """Return a study with a seeded bright blob on noise, pixels in 0..1."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    centre = rng.uniform(0.3, 0.7, 2) * shape
    blob = np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / (2 * (min(shape) / 8) ** 2))
    pixels = 0.2 + 0.6 * blob[..., None] * np.array([1.0, 0.7, 0.5]) + rng.normal(0, 0.02, (*shape, 3))
    pixels = np.clip(pixels, 0, 1).astype(np.float32)
    if not colour:
        pixels = np.ascontiguousarray(pixels[..., 0])
    return Study(pixels, "OT", f"{seed:064x}", unit="rgb" if colour else "normalised", simulated=True)


def _random_like(name: str, tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    if not tensor.is_floating_point():
        return torch.ones_like(tensor)
    noise = torch.rand(tensor.shape, generator=generator)
    if name.endswith("running_var"):
        return noise + 0.5
    return (noise - 0.5) * (2.0 / max(1, tensor[0].numel()) ** 0.5 if tensor.ndim > 1 else 1.0) + (
        1.0 if name.endswith("weight") and tensor.ndim == 1 else 0.0
    )


def _fill(source: str, spec: TinyPlugin) -> str:
    for name, value in (("n_labels", len(spec.labels)), ("channels", spec.channels), ("shape", tuple(spec.shape))):
        source = source.replace(f"{{{name}}}", str(value))
    return textwrap.dedent(source)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")

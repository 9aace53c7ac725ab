"""Weights from disk into a model: hash-checked safetensors, or an error; never an untrained model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from torch import Tensor, nn

from whycad.errors import WeightsError
from whycad.manifest import WeightsFile
from whycad.plugin import Plugin

MAX_WEIGHTS_BYTES = 2 * 1024**3
_COUNTERS = ("num_batches_tracked",)


def load_weights(plugin: Plugin, model: nn.Module, file: WeightsFile) -> None:
    """Load one member's weights into a freshly built model, as float32.

    Parameters
    ----------
    plugin : Plugin
    model : torch.nn.Module
        As ``build_model`` returned it; changed in place.
    file : WeightsFile
        The manifest's row, whose hash the file must have.

    Raises
    ------
    WeightsError
        When the file is missing, differs from its hash, is not safetensors, holds NaN, or does
        not fit the model to the last tensor.
    """
    where = f"{plugin.label}: weights {Path(file.path).name}"
    tensors = _parse(_read(plugin.folder / file.path, file.sha256, where), where)
    expected = model.state_dict()
    _check_names(expected, tensors, where)
    state = {name: _fitting(name, expected[name], tensor, where) for name, tensor in tensors.items()}
    model.load_state_dict({**expected, **state})


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read(path: Path, sha256: str, where: str) -> bytes:
    try:
        if path.stat().st_size > MAX_WEIGHTS_BYTES:
            raise WeightsError(f"{where} is larger than {MAX_WEIGHTS_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{where} cannot be read ({type(error).__name__})") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise WeightsError(
            f"{where} does not have the hash that plugin.toml declares: it is corrupt or was swapped",
            remedy="restore the file the plugin came with",
        )
    return data


def _parse(data: bytes, where: str) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = parse_safetensors(data)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{where} is not a safetensors file") from error
    return tensors


def _check_names(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], where: str) -> None:
    needed = {name for name in expected if not name.endswith(_COUNTERS)}
    missing, extra = sorted(needed - set(tensors)), sorted(set(tensors) - set(expected))
    if missing or extra:
        raise WeightsError(
            f"{where} does not fit the model: {len(missing)} tensors missing{_first(missing)}, "
            f"{len(extra)} unknown{_first(extra)}"
        )
    if not needed:
        raise WeightsError(f"{where}: the model has no weights to load")


def _first(names: list[str]) -> str:
    return f" (such as {names[0][:64]!r})" if names else ""


def _fitting(name: str, expected: Tensor, tensor: Tensor, where: str) -> Tensor:
    """Return the tensor in the dtype and shape the model expects; half precision is widened."""
    subject = f"{where}: tensor {name[:64]!r}"
    if tensor.shape != expected.shape:
        raise WeightsError(f"{subject} has shape {tuple(tensor.shape)}, the model expects {tuple(expected.shape)}")
    if tensor.is_floating_point() != expected.is_floating_point():
        raise WeightsError(f"{subject} is {tensor.dtype}, the model expects {expected.dtype}")
    if not torch.isfinite(tensor.float()).all():
        raise WeightsError(f"{subject} holds NaN or infinite values")
    return tensor.float() if tensor.is_floating_point() else tensor.to(expected.dtype)

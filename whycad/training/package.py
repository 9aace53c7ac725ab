"""Turn trained members into plugin files: safetensors weights, their hashes, the manifest entry."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from whycad.errors import TrainingError
from whycad.manifest import MANIFEST_NAME, load_manifest

_WEIGHTS_SECTION = re.compile(r"^\[weights\]\n.*?(?=^\[|\Z)", re.MULTILINE | re.DOTALL)


def write_member(state: Path, target: Path) -> str:
    """Write one state dict as half-precision safetensors and return the file's SHA-256.

    Batch-norm statistics stay in single precision: a variance can be below half's range.
    """
    tensors = torch.load(state, weights_only=True, map_location="cpu")
    packed = {}
    for name, tensor in tensors.items():
        if name.endswith("num_batches_tracked"):
            continue
        keep = not tensor.is_floating_point() or "running_" in name
        packed[name] = (tensor if keep else tensor.half()).contiguous()
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file(packed, target)
    return hashlib.sha256(target.read_bytes()).hexdigest()


def with_weights(manifest_text: str, files: Sequence[tuple[str, str]]) -> str:
    """Return the manifest's text with its ``[weights]`` section naming these (path, sha256)."""
    rows = "".join(f'  {{ path = "{path}", sha256 = "{sha}" }},\n' for path, sha in files)
    section = f"[weights]\nfiles = [\n{rows}]\n\n"
    text, n = _WEIGHTS_SECTION.subn(lambda _match: section, manifest_text)
    if n != 1:
        raise TrainingError(f"plugin.toml has {n} [weights] sections, expected one")
    return text


def stage_plugin(plugin_folder: Path, states: Sequence[Path], target: Path) -> Path:
    """Write the manifest and the members' weights of a plugin to ``target``.

    Parameters
    ----------
    plugin_folder : Path
        Holds the ``plugin.toml`` to start from.
    states : sequence of Path
        State dicts, one per member.
    target : Path
        Gets ``plugin.toml``, ``weights/member<k>.safetensors`` and the evidence model as it is; replaced
        where it exists.
    """
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    names = [f"weights/member{index}.safetensors" for index in range(len(states))]
    files = [(name, write_member(state, target / name)) for name, state in zip(names, states, strict=True)]
    text = (plugin_folder / MANIFEST_NAME).read_text(encoding="utf-8")
    (target / MANIFEST_NAME).write_text(with_weights(text, files), encoding="utf-8")
    extra = load_manifest(target).evidence_model
    if extra is not None:
        (target / extra.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(plugin_folder / extra.path, target / extra.path)
    return target


def install_plugin(staged: Path, plugin_folder: Path) -> None:
    """Copy staged files over those of the plugin's own folder."""
    shutil.copytree(staged, plugin_folder, dirs_exist_ok=True)

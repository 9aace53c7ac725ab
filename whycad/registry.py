"""Which plugins there are, and which can be used; found without importing any of their code.

Plugins are looked for in the ``plugins`` folder beside the package, in the folders that the
environment variable ``WHYCAD_PLUGINS`` names, and in the entry-point group ``whycad.plugins``,
whose values name packages. A broken plugin is one row with a reason; the others go on.
"""

from __future__ import annotations

import copy
import importlib.util
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Literal

import yaml

from whycad.errors import ManifestError, PluginError
from whycad.manifest import MANIFEST_NAME, Manifest
from whycad.plugin import Plugin, load_plugin
from whycad.types import Study

ENTRY_POINT_GROUP = "whycad.plugins"
FOLDERS_VARIABLE = "WHYCAD_PLUGINS"
MAX_CARD_BYTES = 1024 * 1024
Status = Literal["ready", "unavailable"]


@dataclass(frozen=True)
class PluginEntry:
    """One row of the list of tasks.

    Attributes
    ----------
    id : str
        The manifest's id, or a printable form of the folder's name where there is none.
    folder : Path
    manifest : Manifest or None
        None where plugin.toml cannot be read.
    error : str or None
        Why the plugin cannot be used.
    remarks : tuple of str
        What is wrong with it though it can be used, such as a missing model card.
    """

    id: str
    folder: Path
    manifest: Manifest | None = None
    error: str | None = None
    remarks: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """``ready``, or ``unavailable`` for the reason in ``error``."""
        return "ready" if self.error is None else "unavailable"

    @property
    def title(self) -> str:
        """The manifest's title, or the id."""
        return self.manifest.title if self.manifest is not None else self.id


@dataclass(frozen=True)
class Registry:
    """The plugins that were found, in order: the built-in folder first.

    Attributes
    ----------
    entries : tuple of PluginEntry
    """

    entries: tuple[PluginEntry, ...]

    def entry(self, plugin_id: str) -> PluginEntry:
        """Return the row with this id; of several, the one that counts.

        Raises
        ------
        PluginError
            When there is none.
        """
        rows = [entry for entry in self.entries if entry.id == plugin_id]
        if rows:
            return next((entry for entry in rows if entry.manifest is not None), rows[0])
        known = ", ".join(entry.id for entry in self.entries) or "none"
        raise PluginError(f"there is no task {plugin_id[:64]!r}", remedy=f"known tasks: {known}")

    def get(self, plugin_id: str, *, untrained: bool = False) -> Plugin:
        """Return a plugin that is ready to be used.

        Parameters
        ----------
        plugin_id : str
        untrained : bool
            Whether a plugin without usable weights or calibration will do, as for training it.

        Raises
        ------
        PluginError
            When there is no such plugin or it is unavailable.
        """
        entry = self.entry(plugin_id)
        if entry.manifest is None or (entry.error is not None and not untrained):
            raise PluginError(f"task {entry.id!r} is unavailable: {entry.error}")
        return Plugin(entry.manifest, entry.folder)

    def compatible(self, study: Study) -> tuple[PluginEntry, ...]:
        """Return the ready plugins whose input this study can be."""
        return tuple(
            entry
            for entry in self.entries
            if entry.manifest is not None and entry.status == "ready" and not misfit(entry.manifest, study)
        )


def misfit(manifest: Manifest, study: Study) -> str:
    """Say why a study does not suit a task; empty where it does."""
    spec = manifest.input
    if study.modality not in spec.modalities:
        return f"the task reads {', '.join(spec.modalities)}, the image is {study.modality[:16]}"
    if study.is_colour != spec.colour:
        return "the task reads colour images" if spec.colour else "the task reads grey images"
    if len(study.spatial_shape) == 3 and len(spec.shape) == 2 and not spec.per_slice:
        return "the task reads single images"
    shortest = min(study.spatial_shape[-2:])
    if shortest < spec.min_size_px:
        return f"the task needs {spec.min_size_px} pixels on the shorter side, the image has {shortest}"
    return ""


def discover(folders: Sequence[Path] | None = None) -> Registry:
    """Find plugins and check their files; none of their code is imported.

    Parameters
    ----------
    folders : sequence of Path, optional
        Folders that hold plugin folders, or are one. By default the built-in folder, the
        folders in ``WHYCAD_PLUGINS`` and the entry points.

    Returns
    -------
    Registry
        One row per plugin, broken ones too.
    """
    entries = list(_entries_in(folders) if folders is not None else _installed_entries())
    return Registry(tuple(_without_duplicates(entries)))


def builtin_folder() -> Path:
    """Return the folder ``plugins`` beside the package."""
    return Path(__file__).resolve().parent.parent / "plugins"


def _installed_entries() -> Iterator[PluginEntry]:
    named = [Path(part) for part in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if part.strip()]
    yield from _entries_in([builtin_folder(), *named])
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: (point.name, point.value)):
        yield _entry_point_row(point)


def _entries_in(folders: Sequence[Path]) -> Iterator[PluginEntry]:
    for folder in folders:
        try:
            yield from [inspect_folder(path) for path in _plugin_folders(folder)]
        except OSError as error:
            yield PluginEntry(
                _printable(folder.name), folder, error=f"the plugin folder cannot be read ({type(error).__name__})"
            )


def _plugin_folders(folder: Path) -> list[Path]:
    if (folder / MANIFEST_NAME).is_file():
        return [folder]
    return sorted(
        path for path in folder.iterdir() if not path.name.startswith(".") and (path / MANIFEST_NAME).is_file()
    )


def _entry_point_row(point: EntryPoint) -> PluginEntry:
    folder = _package_folder(point.module)
    if folder is None or not (folder / MANIFEST_NAME).is_file():
        reason = f"the entry point names no package that holds {MANIFEST_NAME}"
        return PluginEntry(_printable(point.name), folder or Path(), error=reason)
    return inspect_folder(folder)


def _package_folder(dotted: str) -> Path | None:
    """Find a package's folder; only its top level is looked up, so nothing is imported."""
    top, *rest = dotted.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        folder = Path(location).joinpath(*rest)
        if folder.is_dir():
            return folder
    return None


def inspect_folder(folder: Path) -> PluginEntry:
    """Read one plugin's manifest and look at its files; hashes are checked when weights are loaded."""
    try:
        plugin = load_plugin(folder)
        return PluginEntry(plugin.id, folder, plugin.manifest, _unavailable(plugin), _remarks(plugin))
    except ManifestError as error:
        return PluginEntry(_printable(folder.name), folder, error=str(error))
    except OSError as error:
        return PluginEntry(_printable(folder.name), folder, error=f"its files cannot be read ({type(error).__name__})")


def _unavailable(plugin: Plugin) -> str | None:
    if not plugin.manifest.weights.files:
        return f"{plugin.label}: plugin.toml names no weights; it has not been trained yet"
    extra = plugin.evidence_model_path()
    for path in (*plugin.weights_paths(), *([] if extra is None else [extra])):
        if not path.is_file() or path.stat().st_size == 0:
            return f"{plugin.label}: weights file {path.name} is missing or empty"
        if not path.resolve().is_relative_to(plugin.folder.resolve()):
            return f"{plugin.label}: weights file {path.name} lies outside the plugin folder"
    calibration = plugin.calibration_path()
    if calibration is not None and not calibration.is_file():
        return f"{plugin.label}: calibration file {calibration.name} is missing"
    return None


def _remarks(plugin: Plugin) -> tuple[str, ...]:
    problem = card_problem(plugin)
    return (problem,) if problem else ()


def card_problem(plugin: Plugin) -> str:
    """Say what is wrong with a plugin's model card; empty where nothing is.

    A card is Markdown that starts with a YAML header; ``id`` and ``version`` in the header, where
    it has them, must be the manifest's.
    """
    path = plugin.card_path()
    if path is None:
        return "no model card is declared"
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            return f"model card {path.name} is larger than {MAX_CARD_BYTES} bytes"
        header = read_card_header(path.read_text(encoding="utf-8"))
    except OSError:
        return f"model card {path.name} is missing"
    except (UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError):
        return f"model card {path.name} has no valid YAML header"
    for key, expected in (("id", plugin.id), ("version", plugin.manifest.version)):
        if key in header and str(header[key]) != expected:
            return f"model card {path.name} is of another {key} than plugin.toml"
    return ""


def read_card_header(text: str) -> dict[str, object]:
    """Return the YAML header of a model card.

    Raises
    ------
    ValueError
        When there is none or it is not a mapping.
    yaml.YAMLError
        When it is not YAML.
    """
    start, *rest = text.split("---\n", 2)
    if start.strip() or len(rest) < 2:
        raise ValueError("the card does not start with a header between two lines of ---")
    return copy.deepcopy(_header(rest[0]))


@lru_cache(maxsize=64)
def _header(text: str) -> dict[str, object]:
    """Return a header that was read before without reading it again: every look for plugins reads every card."""
    header = yaml.safe_load(text)
    if not isinstance(header, dict):
        raise ValueError("the card's header is not a mapping")
    return {str(key): value for key, value in header.items()}


def _without_duplicates(entries: Sequence[PluginEntry]) -> Iterator[PluginEntry]:
    """Drop rows of the same folder; of several folders with one id, the first counts."""
    seen_folders: set[Path] = set()
    owner: dict[str, Path] = {}
    for entry in entries:
        folder = entry.folder.resolve()
        if folder in seen_folders and entry.manifest is not None:
            continue
        seen_folders.add(folder)
        if entry.manifest is not None and entry.id in owner:
            name = _printable(owner[entry.id].name)
            yield replace(
                entry, manifest=None, error=f"id {entry.id!r} is already taken by the plugin in folder {name!r}"
            )
            continue
        if entry.manifest is not None:
            owner[entry.id] = folder
        yield entry


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)[:64] or "?"

"""Import of a plugin's modules, each plugin's under names of its own."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType


@lru_cache(maxsize=256)
def import_from(folder: Path, plugin_id: str, module_name: str) -> ModuleType:
    """Import a module of a plugin: from its folder where it lies there, else as it is named.

    Asked for every case, so where a module was found is looked up once.
    """
    inside = _name_inside(folder, plugin_id, module_name)
    if inside is None or _is_importable_there(folder, module_name):
        return importlib.import_module(module_name)
    return importlib.import_module(f"{_package_of(folder)}.{inside}")


def _name_inside(folder: Path, plugin_id: str, module_name: str) -> str | None:
    """Return the module's dotted name relative to the plugin folder, or None where it lies elsewhere.

    ``model``, ``my_plugin.model`` and ``plugins.my_plugin.model`` all name ``my_plugin/model.py``.
    """
    parts = module_name.split(".")
    starts = [0, *(i + 1 for i, part in enumerate(parts[:-1]) if part in {folder.name, plugin_id})]
    for start in starts:
        path = folder.joinpath(*parts[start:])
        if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file():
            return ".".join(parts[start:])
    return None


def _is_importable_there(folder: Path, module_name: str) -> bool:
    try:
        spec = importlib.util.find_spec(module_name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve().is_relative_to(folder.resolve())


def _package_of(folder: Path) -> str:
    """Register the folder as a package under a name that no other folder gets."""
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    name = f"_whycad_plugin_{digest}"
    if name in sys.modules:
        return name
    init = folder / "__init__.py"
    if not init.is_file():
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
        return name
    spec = importlib.util.spec_from_file_location(name, init, submodule_search_locations=[str(folder)])
    if spec is None or spec.loader is None:
        raise ImportError(f"no loader for {init.name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return name

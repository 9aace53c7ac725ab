"""The arrows of the house point one way; the app ships with settings that protect the reader."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]

# From the ground up; what is not named here stands beside the pipeline or above it.
FLOORS = (
    ("whycad.errors", "whycad.types", "whycad.study_types", "whycad.evidence_types", "whycad.files"),
    ("whycad.imaging", "whycad.phantom"),
    (
        "whycad.manifest",
        "whycad.targets",
        "whycad.plugin",
        "whycad.plugin_checks",
        "whycad.registry",
        "whycad.weights",
        "whycad.map_grades",
    ),
    ("whycad.inference", "whycad.folding"),
    ("whycad.uncertainty", "whycad.explain"),
    ("whycad.pipeline", "whycad.batch", "whycad.volume", "whycad.reading", "whycad.scoring", "whycad.hooks"),
    ("whycad.audit",),
    ("whycad.cli", "whycad.commands"),
)
NO_TORCH = ("whycad.imaging", "whycad.types", "whycad.errors", "whycad.manifest", "whycad.registry", "whycad.plugin")
PAGES_WITHOUT_TORCH = ("dashboard", "app", "asgi", "whycad.jobs", "whycad.report", "whycad.rendering")
NEVER = ("torchvision", "timm", "monai", "transformers", "fastai")


def python_files() -> list[Path]:
    roots = [REPO / name for name in ("whycad", "dashboard", "plugins")]
    found = [p for root in roots for p in root.rglob("*.py") if "node_modules" not in p.parts]
    return [*found, REPO / "app.py", REPO / "asgi.py"]


def module_name(path: Path) -> str:
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, package: str, *, at_import: bool = False) -> Iterator[str]:
    """Names that a module imports; with ``at_import`` only those that run when it is imported."""
    for node in _running(tree) if at_import else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Walk what runs at import: no function bodies, no TYPE_CHECKING blocks."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _running(child)


def is_in(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def floor_of(name: str) -> int | None:
    return next((level for level, floor in enumerate(FLOORS) if is_in(name, floor)), None)


def broken_arrows(name: str, tree: ast.AST, package: str) -> list[str]:
    """Every rule that a module breaks, in words."""
    everything, at_import = set(imports(tree, package)), set(imports(tree, package, at_import=True))
    faults = []
    if is_in(name, ("whycad", "plugins")):
        faults += [f"{name} imports {i}" for i in everything if is_in(i, ("streamlit", "dashboard"))]
    if is_in(name, ("whycad", "dashboard")):
        faults += [f"{name} imports {i}" for i in everything if is_in(i, ("plugins",))]
    faults += [f"{name} imports {i}" for i in everything if is_in(i, NEVER)]
    mine = floor_of(name)
    if mine is not None:
        higher = [i for i in at_import if (other := floor_of(i)) is not None and other > mine]
        faults += [f"{name} imports {i}, which is a higher floor" for i in higher]
    if is_in(name, NO_TORCH + PAGES_WITHOUT_TORCH):
        faults += [f"{name} imports {i} when it is imported" for i in at_import if is_in(i, ("torch", "captum"))]
    return faults


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(REPO)))
def test_arrows_point_one_way(path: Path) -> None:
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    assert broken_arrows(name, ast.parse(path.read_text(encoding="utf-8")), package) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("whycad.report", "import streamlit as st"),
        ("whycad.report", "def f():\n    from dashboard import cache"),
        ("whycad.pipeline", "from plugins.skin_lesion import model"),
        ("plugins.skin_lesion.model", "from torchvision import models"),
        ("plugins.skin_lesion.model", "import streamlit.components"),
        ("whycad.types", "from whycad.imaging import read_study"),
        ("whycad.imaging.reader", "from whycad import registry"),
        ("whycad.imaging.reader", "from ..registry import discover"),
        ("whycad.manifest", "import torch"),
        ("whycad.explain.lime", "from whycad.pipeline import analyse"),
        ("dashboard.figures", "from torch import nn"),
    ],
)
def test_the_check_bites(name: str, source: str) -> None:
    assert broken_arrows(name, ast.parse(source), name.rpartition(".")[0])


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("whycad.registry", "def f():\n    import torch"),
        ("whycad.plugin", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from torch import nn"),
        ("whycad.pipeline", "from whycad.uncertainty import ood"),
        ("dashboard.views.case", "import streamlit as st\nfrom whycad.jobs import JobQueue"),
    ],
)
def test_the_check_lets_pass_what_is_right(name: str, source: str) -> None:
    assert broken_arrows(name, ast.parse(source), name.rpartition(".")[0]) == []


def test_session_state_and_caches_have_one_user_each() -> None:
    users: dict[str, set[str]] = {"session_state": set(), "cache_resource": set(), "cache_data": set()}
    for path in (REPO / "dashboard").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in users:
                users[node.attr].add(path.name)
    assert users["session_state"] <= {"state.py"}
    assert users["cache_resource"] | users["cache_data"] <= {"cache.py"}


def test_no_page_allows_html() -> None:
    for path in (REPO / "dashboard").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert "unsafe_allow_html" not in source, path
        assert "unsafe_allow_javascript" not in source, path


def test_figures_and_text_know_no_streamlit() -> None:
    for name in ("figures.py", "figures_uncertainty.py", "text.py", "setting.py", "model_cards.py", "settings.py"):
        tree = ast.parse((REPO / "dashboard" / name).read_text(encoding="utf-8"))
        assert not [i for i in imports(tree, "dashboard") if is_in(i, ("streamlit",))]


def test_entry_and_views_stay_thin() -> None:
    assert len((REPO / "app.py").read_text(encoding="utf-8").splitlines()) <= 40
    for path in (REPO / "dashboard" / "views").glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 120, path


def test_app_ships_with_safe_settings() -> None:
    settings = tomllib.loads((REPO / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    wanted = {
        ("client", "showErrorDetails"): "none",
        ("client", "showErrorLinks"): False,
        ("browser", "gatherUsageStats"): False,
        ("server", "maxUploadSize"): 200,
        ("server", "address"): "127.0.0.1",
        ("server", "port"): 8501,
        ("server", "enableXsrfProtection"): True,
        ("server", "enableStaticServing"): False,
        ("runner", "postScriptGC"): False,
    }
    for (section, key), value in wanted.items():
        assert settings[section][key] == value, key
    assert set(settings["server"]["allowedHosts"]) == {"localhost", "127.0.0.1"}
    assert {"light", "dark"} <= set(settings["theme"])
    assert "http" not in str(settings["theme"]), "fonts come from the reader's machine"

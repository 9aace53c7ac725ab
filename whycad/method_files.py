"""Which explanation methods there are, read from their files without loading torch.

``whycad.explain`` loads the methods; a page that only lists them must not. What a method is called
and whether it reads a layer stand in its class as plain text, and are read from there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

METHODS_FOLDER = Path(__file__).parent / "explain"


@dataclass(frozen=True)
class MethodFile:
    """One explanation method.

    Attributes
    ----------
    id : str
        How manifests and requests name it.
    name : str
        How the reader knows it; its id where the file does not say.
    needs_layer : bool
        Whether it reads a layer that the manifest has to name.
    """

    id: str
    name: str
    needs_layer: bool = False


@cache
def method_files(folder: Path = METHODS_FOLDER) -> Mapping[str, MethodFile]:
    """Return the methods in a folder by id, in the order of their files.

    Parameters
    ----------
    folder : Path
        One module per method, with ``EXPLAINER = Class()`` and a class that says ``id = "..."``.
    """
    found = (_described(path) for path in sorted(folder.glob("*.py")))
    return MappingProxyType({item.id: item for item in found if item is not None})


def _described(path: Path) -> MethodFile | None:
    try:
        module = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return None
    wanted = [_called(value) for name, value in _assigned(module.body) if name == "EXPLAINER"]
    classes = [node for node in module.body if isinstance(node, ast.ClassDef) and node.name in wanted]
    said = {
        name: value.value for one in classes for name, value in _assigned(one.body) if isinstance(value, ast.Constant)
    }
    id_ = said.get("id")
    if not isinstance(id_, str):
        return None
    return MethodFile(id_, str(said.get("name", id_)), said.get("needs_layer") is True)


def _assigned(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    """Yield names and what is assigned to them."""
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if value is not None:
            yield from ((target.id, value) for target in targets if isinstance(target, ast.Name))


def _called(value: ast.expr) -> str:
    """Return the name of the class that an instance is made of."""
    return value.func.id if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) else ""

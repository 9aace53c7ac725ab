"""Blocks of a model card that a task generates itself, each between two marks in the prose."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from whycad.errors import ManifestError
from whycad.types import JsonObject


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(figure: JsonObject, digits: int = 3) -> str:
    """Return a value with its interval; a dash where it is unknown.

    Parameters
    ----------
    figure : JsonObject
        ``value`` and ``interval``.
    digits : int
        After the decimal point.
    """
    if figure["value"] is None:
        return "–"
    low, high = figure["interval"] or (None, None)
    return f"{figure['value']:.{digits}f}" + ("" if low is None else f" ({low:.{digits}f} to {high:.{digits}f})")


def begin_mark(name: str) -> str:
    """Return the line of a card after which a block's text stands."""
    return f"<!-- {name}: generated, do not edit -->"


def with_blocks(card: str, blocks: Mapping[str, str]) -> str:
    """Return a card with fresh text between the marks of each block.

    Parameters
    ----------
    card : str
        Holds ``<!-- NAME: generated, do not edit -->`` and ``<!-- end of NAME -->`` once per block.
    blocks : mapping of str to str

    Raises
    ------
    ManifestError
        When the card lacks a block's marks, or has them twice.
    """
    for name, text in blocks.items():
        begin, end = begin_mark(name), f"<!-- end of {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        fresh = f"{begin}\n\n{text}\n\n{end}"
        card, found = pattern.subn(lambda _match, fresh=fresh: fresh, card)  # type: ignore[misc]
        if found != 1:
            raise ManifestError(f"the card has {found} places for its {name} table, expected one", remedy=begin)
    return card


def stored_text(path: Path, text_of: Callable[[JsonObject], str]) -> str:
    """Return the text of figures stored as JSON.

    Raises
    ------
    ManifestError
        When they are missing, broken or incomplete.
    """
    try:
        return text_of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestError(
            f"stored figures {path.name!r} cannot be read ({type(error).__name__})", remedy="make them anew"
        ) from error

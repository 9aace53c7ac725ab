"""Model cards as Markdown that may be shown."""

from __future__ import annotations

import re
from pathlib import Path

from whycad.manifest import Manifest
from whycad.plugin import Plugin
from whycad.registry import MAX_CARD_BYTES
from whycad.wording import printable

_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_DIRECTIVE = re.compile(r":(?=[a-z]+(?:-[a-z]+)*\[|material/)")


def card_markdown(folder: Path, manifest: Manifest) -> str:
    """Return a card's prose: headings and tables kept, HTML, links and pictures taken out.

    Parameters
    ----------
    folder : Path
        The plugin's.
    manifest : Manifest

    Returns
    -------
    str
        Empty where there is no readable card.
    """
    path = Plugin(manifest, folder).card_path()
    try:
        if path is None or path.stat().st_size > MAX_CARD_BYTES:
            return ""
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    return "\n".join(_harmless(line) for line in _body(text).splitlines())


def _body(text: str) -> str:
    parts = text.split("---\n", 2)
    return parts[2] if len(parts) == 3 and not parts[0].strip() else text


def _harmless(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip(" "))]
    without = _LINK.sub(r"\1", printable(line, 4000))
    without = without.replace("&", "&amp;").replace("<", "&lt;").replace("$", r"\$")
    without = re.sub(r"\b(https?):", r"\1\\:", without).replace("www.", r"www\.")
    # Headings go below those of the page.
    without = re.sub(r"^(#{1,3})(?= )", r"##\1", without)
    return indent + _DIRECTIVE.sub(r"\\:", without)

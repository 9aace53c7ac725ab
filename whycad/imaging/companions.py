"""Files that lie beside images on discs and in archives, and are passed over when they are no image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from whycad.errors import ImageError
from whycad.imaging.sniff import sniff

_SUFFIXES = frozenset(
    {".txt", ".md", ".csv", ".tsv", ".json", ".xml", ".html", ".htm", ".css", ".js", ".pdf", ".rtf", ".doc", ".docx"}
    | {".xls", ".xlsx", ".yaml", ".yml", ".toml", ".log", ".ini", ".inf", ".cfg", ".db", ".py", ".sha256", ".md5"}
    | {".exe", ".dll", ".bat", ".cmd", ".sh", ".jar", ".so", ".dylib", ".ico", ".icns", ".lnk", ".url", ".ttf"}
)
_NAMES = frozenset(("license", "licence", "readme", "changelog", "version", "lockfile"))


def is_companion(parts: Sequence[str], head: bytes) -> bool:
    """Whether a file of a folder or archive may be passed over without a word.

    Parameters
    ----------
    parts : sequence of str
        Its path; only the form of its name is looked at.
    head : bytes
        Its first 512 bytes. What looks like an image is never a companion, whatever its name.
    """
    name = parts[-1].casefold()
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    if not hidden and name not in _NAMES and PurePath(name).suffix not in _SUFFIXES:
        return False
    try:
        sniff(head)
    except ImageError:
        return True
    return False

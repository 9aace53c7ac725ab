"""Text from files and plugins, made harmless before it reaches Markdown."""

from __future__ import annotations

import re

from whycad.errors import WhyCadError
from whycad.wording import printable

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def plain(text: object, limit: int = 200) -> str:
    """Return text that Markdown shows as it is: one line, no markup, links, HTML, emoji or directions.

    Every ASCII punctuation mark is escaped, which CommonMark allows for all of them, and control,
    format and direction characters show as their code points.
    """
    return _PUNCTUATION.sub(r"\\\1", printable(text, limit))


def error_text(error: WhyCadError) -> str:
    """Return an error's message and remedy for the reader."""
    message = f"**{plain(error.message, 400)}**"
    return f"{message}  \n{plain(error.remedy, 300)}" if error.remedy else message

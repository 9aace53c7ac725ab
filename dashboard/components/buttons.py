"""Looks of buttons."""

from __future__ import annotations

from typing import Literal


def look(chosen: bool) -> Literal["primary", "secondary"]:
    """Return the look of a button: that of the case on show, or of the others."""
    return "primary" if chosen else "secondary"

"""Which data sets may be named by somebody who is not at the machine's own command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from whycad.errors import DatasetError

MOST_CHARACTERS = 1000


def allowed_path(named: str, roots: Sequence[Path]) -> Path:
    """Return the path of a data set below one of some folders.

    Parameters
    ----------
    named : str
        Absolute, or as seen from one of the folders.
    roots : sequence of Path

    Raises
    ------
    DatasetError
        When it lies elsewhere, by links too, or is not there: the message does not say which, so that nobody
        can find out what lies where.
    """
    for root in roots if 0 < len(named) <= MOST_CHARACTERS and "\0" not in named else ():
        try:
            path = (root / named).resolve()
            if path.is_relative_to(root.resolve()) and path != root.resolve() and path.exists():
                return path
        except (OSError, RuntimeError):
            continue
    raise DatasetError(
        f"there is no data set {named[:80]!r} in the folders that may be read from here",
        remedy="name a file or folder below one of them, or run `whycad audit` on the command line",
    )

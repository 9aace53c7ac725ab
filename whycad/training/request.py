"""What ``whycad train`` asks of a plugin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainRequest:
    """One training order; an ``out`` folder that holds an unfinished run is resumed.

    Attributes
    ----------
    data : Path
        Folder of image packs, or a table of images where the task reads one.
    out : Path
        Gets checkpoints and, in ``plugin/``, the finished plugin files.
    device : str or None
        ``cpu``, ``cuda`` or None for automatic.
    seed : int
    install : bool
        Whether the finished files replace those in the plugin's own folder.
    """

    data: Path
    out: Path
    device: str | None = None
    seed: int = 0
    install: bool = False

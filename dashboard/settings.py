"""What the app is told by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """How this copy of the app runs.

    Attributes
    ----------
    device : str
        For the model worker; ``auto`` is CUDA where there is one, else the CPU.
    data : Path or None
        Folder of image packs whose ``val`` cases are offered as samples.
    max_cases : int
        Cases that one session keeps open.
    """

    device: str = "auto"
    data: Path | None = None
    max_cases: int = 24

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read ``WHYCAD_DEVICE`` and ``WHYCAD_DATA``."""
        named = environment.get("WHYCAD_DATA", "").strip()
        data = Path(named) if named and Path(named).is_dir() else None
        return cls(device=environment.get("WHYCAD_DEVICE", "").strip() or "auto", data=data)

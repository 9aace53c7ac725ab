"""What the app is told by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from whycad.audit.run.runs import audits_folder

OFF = ("0", "off", "no", "false")


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
    audits : Path
        Folder of the audits that are shown and started.
    may_start : bool
        Whether audits may be started from the page.
    audit_data : tuple of Path
        Folders below which a data set may be named. Empty: simulated samples alone can be audited from the page.
    """

    device: str = "auto"
    data: Path | None = None
    max_cases: int = 24
    audits: Path = field(default_factory=audits_folder)
    may_start: bool = True
    audit_data: tuple[Path, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the ``WHYCAD_`` variables.

        ``DEVICE`` and ``DATA``; ``AUDITS`` names the folder of audits; ``AUDIT_START=off`` forbids to start
        one from the page; ``AUDIT_DATA`` names the folders, apart as in ``PATH``, below which a data set may be
        named there: by default ``WHYCAD_DATA``.
        """
        named = environment.get("WHYCAD_DATA", "").strip()
        data = Path(named) if named and Path(named).is_dir() else None
        folders = environment.get("WHYCAD_AUDIT_DATA", named).split(os.pathsep)
        return cls(
            device=environment.get("WHYCAD_DEVICE", "").strip() or "auto",
            data=data,
            audits=audits_folder(environment),
            may_start=environment.get("WHYCAD_AUDIT_START", "").strip().casefold() not in OFF,
            audit_data=tuple(Path(part) for part in folders if part.strip() and Path(part).is_dir()),
        )

"""A process that does nothing, for tests of what becomes of it when its parent is gone."""

from __future__ import annotations

import os
import time
from pathlib import Path

from whycad.audit.qa.harness import end_with_parent

SECONDS = 100.0


def wait_and_tell(file: str) -> None:
    """Watch the parent, write the own process id to a file, and wait."""
    end_with_parent()
    partial = Path(f"{file}.partial")
    partial.write_text(str(os.getpid()), encoding="utf-8")
    partial.replace(file)
    time.sleep(SECONDS)

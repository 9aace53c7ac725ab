"""Reading files in-process, with a patient who must not be found anywhere afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from whycad.errors import ImageError
from whycad.imaging.limits import MIB, Limits
from whycad.imaging.worker import decode
from whycad.testing.dicom import CANARY
from whycad.types import Study

KEY = b"k" * 32
SMALL = Limits(memory_bytes=1024 * MIB, cpu_s=10, wall_s=15, max_pixels=4_000_000, max_file_bytes=32 * MIB)


def describe(study: Study) -> str:
    """Everything that a Study says, pixels aside."""
    fields = {name: getattr(study, name) for name in study.__dataclass_fields__ if name != "pixels"}
    return repr(fields)


def assert_no_canary(text: str) -> None:
    for secret in CANARY.secrets:
        assert secret.lower() not in text.lower()


def explain(error: BaseException) -> str:
    """All text that a traceback of this error could show besides code."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None:
        parts += [str(current), repr(current.args), repr(getattr(current, "remedy", ""))]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return " ".join(parts)


@pytest.fixture(autouse=True)
def private_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A key file and a temporary folder of the test's own; the folder must be empty at the end."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("WHYCAD_KEY_FILE", str(tmp_path / "state" / "subject.key"))
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    yield scratch
    assert list(scratch.iterdir()) == []


@pytest.fixture
def read(caplog: pytest.LogCaptureFixture) -> Callable[[bytes], Study]:
    """The child's own function, run here; nothing of the canary may be in its result, error or log."""
    caplog.set_level("DEBUG")

    def run(data: bytes) -> Study:
        caplog.clear()
        try:
            study = decode(data, KEY, SMALL)
        except ImageError as error:
            assert_no_canary(explain(error) + caplog.text)
            raise
        assert_no_canary(describe(study) + caplog.text)
        assert study.pixels.dtype == np.float32
        assert np.isfinite(study.pixels).all()
        return study

    return run

"""Reading files in-process, with a patient who must not be found anywhere afterwards."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from whycad.errors import ImageError
from whycad.imaging import StudyItem, read_studies, reader
from whycad.imaging.child import Command, Ending
from whycad.imaging.limits import MIB, Limits
from whycad.imaging.worker import Request, decode, serve
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


# Everything that may be called anything on disk while sources are read.
OWN_NAME = re.compile(r"(in|out-\d+|\d+|unpacked|input|names\.json|pixels\.npy|report\.json|findings\.jsonl)\Z")


def serve_here(command: Command, limits: Limits) -> Ending:
    """Do a child's work in this process, without its limits; look at the names on disk afterwards."""
    request = Request.from_json(command.request)
    assert request.limits == limits
    serve(request)
    work = next(parent for parent in (command.folder, *command.folder.parents) if parent.name.startswith("whycad-"))
    assert [path.name for path in work.rglob("*") if not OWN_NAME.match(path.name)] == []
    return Ending.DONE


ReadAll = Callable[..., tuple[StudyItem, ...]]


@pytest.fixture
def read_all(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> ReadAll:
    """``read_studies`` with the children's work done here; nothing of the canary may be left anywhere."""
    caplog.set_level("DEBUG")
    monkeypatch.setattr(reader, "run_child", serve_here)

    def run(sources: Sequence[bytes | Path], limits: Limits = SMALL) -> tuple[StudyItem, ...]:
        caplog.clear()
        items = read_studies(sources, limits=limits)
        for item in items:
            assert (item.study is None) != (item.error is None)
            if item.error is not None:
                assert isinstance(item.error, ImageError)
                assert "no reader expects" not in item.error.message
            text = describe(item.study) if item.study is not None else explain(item.error)
            assert_no_canary(text + caplog.text)
        assert {index for item in items for index in item.sources} == set(range(len(sources)))
        return items

    return run

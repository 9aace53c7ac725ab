"""The real child: limits, deaths, secrets, and what is left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import whycad.imaging.reader as reader
from whycad.errors import CorruptImageError, DecodeLimitError, ImageError, ImageTooLargeError, UnsupportedFormatError
from whycad.imaging import Limits, read_study
from whycad.imaging.child import Command, Ending, child_environment, package_root, run_child
from whycad.imaging.limits import MIB
from whycad.testing.dicom import CANARY, Writing, make_ct_slice, make_photo_dicom, part10, split_part10

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
PHOTO = make_photo_dicom(PIXELS, Writing(CANARY))
# The machine may be busy: what is meant to end by itself gets ample time.
PATIENT = Limits(wall_s=100, cpu_s=60)


def python(code: str, folder: Path) -> Command:
    return Command((sys.executable, "-P", "-s", "-c", code), "{}", folder)


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Sequence[str]:
    """Let the reader start other code in place of the worker: the list's first entry."""
    code: list[str] = []
    monkeypatch.setattr(
        reader, "worker_command", lambda request, folder: Command((sys.executable, "-c", code[0]), request, folder)
    )
    return code


def test_a_file_becomes_a_study_with_its_hash_and_leaves_nothing(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    caplog.set_level("DEBUG")
    path = tmp_path / "..; rm -rf <img onerror=x>\u202egpj.Zzcanary.dcm"
    path.write_bytes(PHOTO)
    first, second = read_study(PHOTO, name="Zzcanary^Wilhelmina.dcm", limits=PATIENT), read_study(path, limits=PATIENT)
    assert np.array_equal(first.pixels, PIXELS.astype(np.float32) / np.float32(255))
    assert np.array_equal(first.pixels, second.pixels)
    assert first.sha256 == second.sha256
    assert len(first.sha256) == 64
    assert first.subject_key == second.subject_key != ""
    text = repr({k: v for k, v in vars(first).items() if k != "pixels"}) + caplog.text + "".join(capfd.readouterr())
    assert not [secret for secret in CANARY.secrets if secret.lower() in text.lower()]


def test_the_same_uid_with_other_bytes_is_another_study() -> None:
    other = make_photo_dicom(PIXELS[::-1].copy(), Writing(CANARY))
    studies = [read_study(data, limits=PATIENT) for data in (PHOTO, other)]
    assert studies[0].sha256 != studies[1].sha256
    assert studies[0].subject_key == studies[1].subject_key


def test_what_the_child_is_given_is_private_and_opaque(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def look(command: Command, limits: Limits) -> Ending:
        seen["names"] = [p.name for p in command.folder.iterdir()]
        seen["modes"] = [command.folder.stat().st_mode & 0o777, (command.folder / "input").stat().st_mode & 0o777]
        seen["arguments"] = " ".join(command.arguments)
        seen["key"] = json.loads(command.request)["key"]
        return Ending.DIED

    monkeypatch.setattr(reader, "run_child", look)
    with pytest.raises(DecodeLimitError, match="broke down"):
        read_study(PHOTO, name="Zzcanary.dcm")
    assert seen["names"] == ["input"]
    assert seen["modes"] == [0o700, 0o600]
    assert str(seen["key"]) not in str(seen["arguments"])
    assert len(str(seen["key"])) == 64


def test_the_environment_holds_no_secret_of_the_parent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PACS_PASSWORD", "hunter2")
    monkeypatch.setenv("WHYCAD_KEY_FILE", "/secret/place")
    code = "import json, os, pathlib; pathlib.Path('env.json').write_text(json.dumps(dict(os.environ)))"
    assert run_child(python(code, tmp_path), PATIENT) is Ending.DONE
    found = json.loads((tmp_path / "env.json").read_text())
    assert "hunter2" not in str(found)
    assert "/secret/place" not in str(found)
    assert found["OPENBLAS_NUM_THREADS"] == "1"
    assert set(child_environment(tmp_path)) <= set(found)


def bomb(megabytes: int) -> bytes:
    """A raw deflate stream of zeros; a fully flushed block may be repeated as it is."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = engine.compress(bytes(MIB)) + engine.flush(zlib.Z_FULL_FLUSH)
    return block * megabytes + engine.flush()


KILLERS = {
    # 1.5 MB that would become 1.5 GB: it is stopped while it unpacks.
    "deflate bomb": (
        lambda: part10(bomb(1500), "1.2.840.10008.1.2.1.99"),
        ImageTooLargeError,
    ),
    # A recursive reader dies of this one; ours refuses it.
    "sequence depth 1,000": (
        lambda: b"".join(
            (
                split_part10(PHOTO)[0],
                b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 1000,
                b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * 1000,
                split_part10(PHOTO)[1],
            )
        ),
        CorruptImageError,
    ),
}


@pytest.mark.parametrize("case", KILLERS)
def test_a_killer_ends_in_a_typed_error_and_this_process_goes_on(case: str) -> None:
    make, kind = KILLERS[case]
    with pytest.raises(kind):
        read_study(make(), limits=PATIENT)


def test_depth_that_would_kill_a_recursive_reader_really_does() -> None:
    # The check above bites: the library itself breaks on this file.
    import io

    import pydicom

    with pytest.raises(RecursionError):
        pydicom.dcmread(io.BytesIO(KILLERS["sequence depth 1,000"][0]()))


def test_an_image_beyond_the_memory_limit_is_a_typed_error() -> None:
    data = make_photo_dicom(np.zeros((3000, 3000, 3), np.uint8), Writing(CANARY))
    tight = Limits(memory_bytes=100 * MIB, wall_s=100, cpu_s=60)
    with pytest.raises(DecodeLimitError):
        read_study(data, limits=tight)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces a limit on address space")
def test_the_system_stops_a_child_that_takes_too_much_memory(tmp_path: Path) -> None:
    code = (
        "from whycad.imaging.worker import apply_limits; from whycad.imaging.limits import Limits;"
        "apply_limits(Limits(memory_bytes=200 << 20)); import pathlib;"
        "pathlib.Path('begun').touch(); x = bytearray(400 << 20); pathlib.Path('ended').touch()"
    )
    assert run_child(python(code, tmp_path), PATIENT) is Ending.DIED
    assert [p.name for p in tmp_path.glob("*ed")] + [p.name for p in tmp_path.glob("begun")] == ["begun"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no limit of processor time")
def test_the_system_stops_a_child_that_computes_too_long(tmp_path: Path) -> None:
    code = (
        "from whycad.imaging.worker import apply_limits; from whycad.imaging.limits import Limits;"
        "apply_limits(Limits(cpu_s=1))\nwhile True: pass"
    )
    assert run_child(python(code, tmp_path), PATIENT) is Ending.TOO_LONG


def test_the_parent_kills_a_child_that_hangs(tmp_path: Path) -> None:
    start = time.monotonic()
    assert run_child(python("import time; time.sleep(600)", tmp_path), Limits(wall_s=0.5)) is Ending.TOO_LONG
    assert time.monotonic() - start < 30


def test_the_watchdog_kills_a_child_that_takes_too_much_memory(tmp_path: Path) -> None:
    code = "import time; x = bytearray(b'x') * (400 << 20); time.sleep(600)"
    limits = Limits(memory_bytes=64 * MIB, wall_s=100)
    assert run_child(python(code, tmp_path), limits, watch_memory=True) is Ending.TOO_MUCH_MEMORY


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.abort()",
        "import os; os._exit(3)",
        "raise SystemExit('Zzcanary')",
        "import os; os.kill(os.getpid(), 9)",
    ],
)
def test_a_child_that_dies_is_a_typed_error(
    code: str, replaced: list[str], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    replaced.append(code)
    with pytest.raises(DecodeLimitError, match="stopped, or broke down"):
        read_study(PHOTO, limits=PATIENT)
    assert "Zzcanary" not in "".join(capfd.readouterr()) + caplog.text


def test_a_child_that_hangs_is_a_typed_error(replaced: list[str]) -> None:
    replaced.append("import time; time.sleep(600)")
    with pytest.raises(DecodeLimitError, match=r"longer than the limit of 0\.5 s"):
        read_study(PHOTO, limits=Limits(wall_s=0.5))


def test_a_child_that_ends_without_a_word_is_a_typed_error(replaced: list[str]) -> None:
    replaced.append("pass")
    with pytest.raises(DecodeLimitError, match="left no result"):
        read_study(PHOTO, limits=PATIENT)


def test_a_typed_error_comes_through_with_its_remedy() -> None:
    with pytest.raises(UnsupportedFormatError) as caught:
        read_study(part10(split_part10(PHOTO)[1], "1.2.840.10008.1.2.4.110"), limits=PATIENT)
    assert "JPEG XL" in caught.value.message
    assert "libjxl" in caught.value.remedy


def test_several_readers_at_once_get_their_own_files() -> None:
    found: dict[int, float] = {}

    def work(value: int) -> None:
        study = read_study(make_ct_slice(np.full((4, 4), value, np.int16), Writing(CANARY)), limits=PATIENT)
        found[value] = float(study.pixels[0, 0])

    threads = [threading.Thread(target=work, args=(value,)) for value in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {1: 1.0, 2: 2.0, 3: 3.0}


def test_files_that_cannot_be_opened_are_typed_errors_without_their_name(tmp_path: Path) -> None:
    for path in (tmp_path / "Zzcanary.dcm", tmp_path):
        with pytest.raises(CorruptImageError) as caught:
            read_study(path)
        assert "Zzcanary" not in str(caught.value)
        assert caught.value.__suppress_context__
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(CorruptImageError):
            read_study(tmp_path / "pipe")


def test_a_file_beyond_the_limit_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(MIB + 1))
    for source in (path, path.read_bytes()):
        with pytest.raises(ImageTooLargeError, match="limit of 1 MB"):
            read_study(source, limits=Limits(max_file_bytes=MIB))


def test_it_works_from_an_installed_copy_and_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "site" / "whycad"
    shutil.copytree(package_root() / "whycad", copy, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    (tmp_path / "in.dcm").write_bytes(PHOTO)
    code = (
        "from pathlib import Path; import whycad.imaging as i; from whycad.imaging.limits import Limits\n"
        f"print(i.__file__, i.read_study(Path({str(tmp_path / 'in.dcm')!r}), limits=Limits(wall_s=100)).pixels.shape)"
    )
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path / "elsewhere",
        env={**os.environ, "PYTHONPATH": str(copy.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(copy) in done.stdout
    assert "(20, 24, 3)" in done.stdout


def test_the_child_never_loads_torch_or_the_app() -> None:
    code = (
        "import sys, whycad.imaging.worker, whycad.imaging.dicom, whycad.imaging.raster, whycad.imaging.dicom_codecs;"
        "import whycad.imaging.dicom_series, whycad.imaging.survey, whycad.imaging.archive;"
        "foreign = 'torch', 'streamlit', 'pandas', 'scipy', 'highdicom', 'skimage', 'nibabel';"
        "print([m for m in foreign if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=package_root(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_error_shows_more_than_its_own_words(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    with pytest.raises(ImageError) as caught:
        read_study(PHOTO[:-30], limits=PATIENT)
    error = caught.value
    text = repr(error) + str(error) + repr(error.__cause__) + repr(error.__context__)
    text += caplog.text + "".join(capfd.readouterr())
    assert not [secret for secret in CANARY.secrets if secret.lower() in text.lower()]

"""Series and archives through real children: deaths, lies, limits, and what is left behind."""

from __future__ import annotations

import json
import os
import sys
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import whycad.imaging.reader as reader
from whycad.errors import CorruptImageError, DecodeLimitError
from whycad.imaging import Limits, read_studies
from whycad.imaging.child import Command, Ending
from whycad.imaging.handover import FINDINGS, read_count, write_count
from whycad.imaging.limits import MIB
from whycad.imaging.studies import MAX_RESTARTS
from whycad.imaging.survey import Finding, ImageFacts, finding_from_json, finding_to_json, survey_image
from whycad.imaging.worker import Job, Request, serve
from whycad.testing.dicom import CANARY, Writing, make_photo_dicom
from whycad.testing.series import make_ct_series, make_oct_volume, make_zip

VOLUME = np.random.default_rng(0).integers(-1000, 1500, (5, 20, 24)).astype(np.int16)
SLICES = make_ct_series(VOLUME, (2.0, 0.7, 0.7), patient=CANARY)
PHOTO = make_photo_dicom(np.random.default_rng(1).integers(0, 255, (6, 7, 3), dtype=np.uint8), Writing(CANARY))
# The machine may be busy: what is meant to end by itself gets ample time.
PATIENT = Limits(wall_s=1000, cpu_s=60)
POISON = b"POISON"
# The worker, but one whose survey dies of a file that holds the word.
DYING = """
import os, sys, whycad.imaging.survey as survey, whycad.imaging.worker as worker
sound = survey.survey_file
survey.survey_file = lambda path, *rest: os.abort() if b"POISON" in path.read_bytes() else sound(path, *rest)
sys.exit(worker.main())
"""


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Sequence[str]:
    """Let the reader start other code in place of the worker, the list's first entry; the rest are requests."""
    code: list[str] = []

    def command(request: str, folder: Path) -> Command:
        code.append(request)
        return Command((sys.executable, "-P", "-c", code[0]), request, folder)

    monkeypatch.setattr(reader, "worker_command", command)
    return code


def test_a_series_an_archive_and_a_volume_go_all_the_way_and_leave_nothing(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    caplog.set_level("DEBUG")
    folder = tmp_path / "Zzcanary^Wilhelmina"
    folder.mkdir()
    for k, data in enumerate(SLICES):
        (folder / f"QX-77013-CANARY-{k}").write_bytes(data)
    oct_volume = make_oct_volume(VOLUME.astype(np.uint8), (0.1, 0.004, 0.01), Writing(CANARY, seed="oct"))
    items = read_studies([folder, make_zip([oct_volume])], limits=PATIENT)
    assert [item.error for item in items] == [None, None]
    assert np.array_equal(items[0].study.pixels, VOLUME.astype(np.float32))
    assert np.array_equal(items[1].study.pixels, VOLUME.astype(np.uint8).astype(np.float32))
    text = "".join(repr({k: v for k, v in vars(i.study).items() if k != "pixels"}) for i in items)
    text += caplog.text + "".join(capfd.readouterr())
    assert not [secret for secret in CANARY.secrets if secret.lower() in text.lower()]


def test_one_file_is_read_as_read_study_reads_it() -> None:
    alone, together = reader.read_study(PHOTO, limits=PATIENT), read_studies([PHOTO], limits=PATIENT)[0].study
    assert np.array_equal(alone.pixels, together.pixels)
    assert {k: v for k, v in vars(alone).items() if k != "pixels"} == {
        k: v for k, v in vars(together).items() if k != "pixels"
    }


def test_nothing_in_gives_nothing_out() -> None:
    assert read_studies([]) == ()


def test_a_file_that_a_survey_dies_of_is_an_error_and_the_others_are_read(replaced: list[str]) -> None:
    replaced.append(DYING)
    poison = make_photo_dicom(np.zeros((4, 5, 3), np.uint8), Writing(CANARY, seed="p"), ImageComments="POISON")
    items = read_studies([*SLICES[:2], poison, *SLICES[2:]], limits=PATIENT)
    assert [item.sources for item in items] == [(0, 1, 3, 4, 5), (2,)]
    assert np.array_equal(items[0].study.pixels, VOLUME.astype(np.float32))
    assert isinstance(items[1].error, DecodeLimitError)
    assert "broke down" in items[1].error.message
    assert len(replaced) == 1 + 3


def test_a_survey_is_not_started_for_ever(replaced: list[str]) -> None:
    replaced.append("import os; os.abort()")
    items = read_studies([PHOTO] * 20, limits=PATIENT)
    assert [type(item.error) for item in items] == [DecodeLimitError] * 20
    assert len(replaced) == 1 + MAX_RESTARTS + 1


@pytest.mark.parametrize("source", [make_zip(SLICES), SLICES[0]], ids=["archive", "slice"])
def test_a_child_that_hangs_is_a_typed_error(source: bytes, replaced: list[str]) -> None:
    replaced.append("import time; time.sleep(600)")
    start = time.monotonic()
    items = read_studies([source], limits=Limits(wall_s=0.5))
    assert isinstance(items[0].error, DecodeLimitError)
    assert "longer than the limit" in items[0].error.message
    assert time.monotonic() - start < 30


LIES = {
    "count too large": "report(unpacked=10**9)",
    "count negative": "report(unpacked=-1)",
    "count no number": 'report(unpacked="2")',
    "no count": "report()",
    "members missing": "report(unpacked=2)",
    "member a link": "os.symlink('/etc/hostname', folder / '0'); report(unpacked=1)",
    "member a folder": "(folder / '0').mkdir(); report(unpacked=1)",
    "member too large": "open(folder / '0', 'wb').truncate(3 << 20); report(unpacked=1)",
    "report a link": "os.symlink('/etc/hostname', folder / 'report.json')",
}
LIAR = """
import json, os, pathlib, sys
folder = pathlib.Path(json.loads(sys.stdin.readline())["folder"])
report = lambda **content: (folder / "report.json").write_text(json.dumps(content))
"""


@pytest.mark.parametrize("case", LIES)
def test_lies_of_an_unpacking_child_are_not_believed(case: str, replaced: list[str]) -> None:
    replaced.append(LIAR + LIES[case])
    items = read_studies([make_zip(SLICES)], limits=Limits(wall_s=100, max_file_bytes=MIB))
    assert [item.sources for item in items] == [(0,)]
    assert items[0].study is None
    assert "hostname" not in str(items[0].error)


KEY = b"k" * 32
FACTS = survey_image(SLICES[0], KEY, Limits())
FALSE_FACTS: dict[str, object] = {
    "series": "Zzcanary",
    "instance": 5,
    "person": "QX-77013-CANARY",
    "frame": None,
    "modality": "ZZ",
    "rows": 0,
    "columns": 70_000,
    "is_slice": "yes",
    "localizer": 1,
    "spacing_mm": [1.0],
    "orientation": [1, 0, 0, 0, 1, float("nan")],
    "position_mm": "abc",
    "variants": ["Zzcanary"] * 8,
}


def test_findings_survive() -> None:
    broken = Finding(error=CorruptImageError("broken", remedy="mend it"))
    for finding in (Finding(FACTS), Finding(is_directory=True)):
        assert finding_from_json(finding_to_json(finding)) == finding
    back = finding_from_json(finding_to_json(broken)).error
    assert (type(back), str(back)) == (CorruptImageError, "broken (mend it)")
    assert isinstance(FACTS, ImageFacts)
    assert FACTS.is_slice


@pytest.mark.parametrize("name", FALSE_FACTS)
def test_facts_off_the_lists_are_refused(name: str) -> None:
    report = json.loads(finding_to_json(Finding(FACTS)))
    report["image"][name] = FALSE_FACTS[name]
    with pytest.raises((ValueError, TypeError)):
        finding_from_json(json.dumps(report))


@pytest.mark.parametrize(
    "line",
    ["", "[]", "{}", "no json", "[" * 5000, '{"image": {}, "error": null, "directory": false}', "x" * 20_000],
    ids=range(7),
)
def test_findings_that_are_none_end_in_a_typed_error(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: Command, limits: Limits) -> Ending:
        (command.folder / FINDINGS).write_text((line + "\n") * 4)
        return Ending.DONE

    monkeypatch.setattr(reader, "run_child", run)
    items = read_studies(SLICES, limits=PATIENT)
    assert all(item.study is None for item in items)
    assert {index for item in items for index in item.sources} == set(range(len(SLICES)))


def test_counts_survive(tmp_path: Path) -> None:
    assert read_count(tmp_path, PATIENT) is None
    write_count(tmp_path, 7)
    assert read_count(tmp_path, PATIENT) == 7


def test_a_series_child_holds_a_few_slices_at_a_time(tmp_path: Path) -> None:
    files = make_ct_series(np.zeros((24, 512, 512), np.int16), (1.0, 0.7, 0.7))
    for k, data in enumerate(files):
        (tmp_path / str(k)).write_bytes(data)
    request = Request(tmp_path, KEY, PATIENT, Job.SERIES, tuple(tmp_path / str(k) for k in range(24)))
    tracemalloc.start()
    try:
        serve(request)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "pixels.npy").stat().st_size > 24 * MIB
    # The files are 12 MB, the volume 24 MB; one slice as float is 1 MB.
    assert peak < 8 * MIB


def processor_s() -> float:
    """Seconds of processor that this process and its ended children took."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.mark.data
def test_a_real_series_of_48_slices_is_read_in_seconds(data_dir: Path) -> None:
    with np.load(data_dir / "lung" / "ct_lidc0001_48slices.npz") as pack:
        volume, spacing, z_mm = pack["volume"], pack["spacing"], pack["z_mm"]
    files = make_ct_series(volume, spacing, patient=CANARY, shuffle=7, origin_mm=(-180.0, -180.0, float(z_mm[0])))
    start = processor_s()
    (item,) = read_studies(files, limits=PATIENT)
    # Measured: 1.5 s. Time by the clock says more about what else the machine does.
    assert processor_s() - start < 10
    assert np.array_equal(item.study.pixels, volume.astype(np.float32))
    assert item.study.spacing_mm == tuple(spacing)
    assert item.study.position_mm == (-180.0, -180.0, z_mm[0])
    assert item.study.warnings == ()

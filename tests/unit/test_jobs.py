"""Jobs run elsewhere; a plugin that hangs, dies or shouts is named, and the others go on."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from whycad.errors import JobCancelledError, JobError, PluginError, PredictionError, WeightsError
from whycad.job_protocol import (
    error_from_json,
    error_to_json,
    load_study,
    read_frame,
    request_from_json,
    request_to_json,
    save_study,
    write_frame,
)
from whycad.jobs import JobQueue, JobSettings, JobStatus
from whycad.registry import discover
from whycad.testing.plugins import PREPROCESS, TinyPlugin, make_study, write_plugin
from whycad.types import AnalysisRequest, Region
from whycad.worker_process import worker_environment

ME, OTHER = "my session", "another session"
REQUEST = AnalysisRequest()
BEFORE_RESIZE = "    height, width"
CANARY = "CANARY^PATIENT"
PHANTOM = """
import numpy as np
from whycad.phantom import PhantomCase
from whycad.testing.plugins import make_study
from whycad.types import Region

def sample_cases():
    study = make_study()
    mask = np.zeros(study.spatial_shape, bool)
    mask[3:5, 4] = True
    return [PhantomCase(study, mask, "a", "One", "A blob.", ("ink",), Region((3.0, 4.0)))]
"""


def preprocess_that(does: str) -> str:
    return f"import os, sys, time\ndef preprocess(study, region):\n    {does}\n"


MISBEHAVED = {
    "hangs": preprocess_that("while True: pass"),
    "exits": preprocess_that("os._exit(0)"),
    "quits": preprocess_that("sys.exit(0)"),
    "killed": preprocess_that("os.kill(os.getpid(), 9)"),
    "raises": preprocess_that(f"raise ValueError({CANARY!r})"),
    "greedy": preprocess_that("return bytearray(30 * 2**30)"),
    "grows": preprocess_that(
        "import mmap; m = mmap.mmap(-1, 2**31); [m.write(b'x' * 2**23) for _ in range(150)]; time.sleep(60)"
    ),
    "none": preprocess_that("return None"),
}
SLOW = PREPROCESS.replace(BEFORE_RESIZE, "    import time; time.sleep(1.5)\n" + BEFORE_RESIZE)
BRIEF = SLOW.replace("1.5", "0.7")
LOUD = PREPROCESS.replace(
    BEFORE_RESIZE, "    import os, sys; print('x' * 5000, flush=True); os.write(1, b'junk' * 99)\n" + BEFORE_RESIZE
).replace("    height, width", "    assert sys.stdin.read() == ''\n    height, width", 1)


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    write_plugin(folder, TinyPlugin(files={"phantom.py": PHANTOM}, code='phantom = "phantom:sample_cases"\n'))
    for name, source in {**MISBEHAVED, "slow": SLOW, "brief": BRIEF, "loud": LOUD}.items():
        write_plugin(folder, TinyPlugin(id=name, preprocess=source))
    nan = (
        "from whycad.testing.tiny_net import TinyNet\nclass Net(TinyNet):\n"
        "    def forward(self, x): return super().forward(x) * float('nan')\ndef build_model(): return Net(3, 3)\n"
    )
    write_plugin(folder, TinyPlugin(id="nan", model=nan))
    swapped = write_plugin(folder, TinyPlugin(id="swapped")).weights_paths()
    swapped[0].write_bytes(swapped[1].read_bytes())
    return folder


@pytest.fixture(scope="module")
def queue(plugins: Path) -> Iterator[JobQueue]:
    settings = JobSettings(devices=("cpu",), silence_s=90.0, cancel_grace_s=60.0, memory_bytes=2**30)
    jobs = JobQueue(discover([plugins]), settings)
    yield jobs
    jobs.close()


def run(queue: JobQueue, plugin_id: str, request: AnalysisRequest = REQUEST) -> JobStatus:
    job = queue.submit(make_study(), plugin_id, request, ME)
    return queue.wait(job, ME, 120)


def wait_until_running(queue: JobQueue, job: str) -> None:
    deadline = time.monotonic() + 30
    while queue.status(job, ME).progress.stage == "queued" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert queue.status(job, ME).state == "running"


class TestGood:
    def test_a_job_gives_the_result_and_the_prediction_before_it(self, queue: JobQueue) -> None:
        status = run(queue, "tiny")
        assert status.state == "done"
        assert status.error is None
        assert status.result is not None
        assert status.partial is not None
        assert status.result.prediction.probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert status.result.prediction.predicted == status.partial.prediction.predicted
        assert status.progress.fraction == 1.0

    def test_the_worker_stays_warm(self, queue: JobQueue) -> None:
        run(queue, "tiny")
        before = queue.worker_pids()
        run(queue, "tiny")
        assert queue.worker_pids() == before != ()

    def test_no_plugin_code_and_no_image_is_left_in_this_process(self, queue: JobQueue) -> None:
        before = {name for name in sys.modules if name.startswith("_whycad_plugin_")}
        run(queue, "tiny")
        assert {name for name in sys.modules if name.startswith("_whycad_plugin_")} == before
        deadline = time.monotonic() + 5
        while list(queue.scratch.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert list(queue.scratch.iterdir()) == []
        assert queue.scratch.stat().st_mode & 0o077 == 0

    def test_samples_are_made_in_the_worker(self, queue: JobQueue) -> None:
        status = queue.wait(queue.submit_samples("tiny", ME), ME, 120)
        (case,) = status.samples
        assert (case.label, case.name, case.artefacts) == ("a", "One", ("ink",))
        assert case.mask.sum() == 2
        assert case.region == Region((3.0, 4.0))
        np.testing.assert_array_equal(case.study.pixels, make_study().pixels)

    def test_real_cases_are_chosen_in_the_worker(self, queue: JobQueue, tmp_path: Path) -> None:
        images = np.random.default_rng(0).integers(0, 255, (6, 40, 50, 3), dtype=np.uint8)
        np.savez(tmp_path / "p.npz", images=images, label=np.array(["a", "b"] * 3), split=np.array(["val"] * 6))
        status = queue.wait(queue.submit_pack_cases("tiny", tmp_path, ME), ME, 120)
        assert sorted(case.label for case in status.samples) == ["a"] * 3 + ["b"] * 3
        assert not any(case.study.simulated for case in status.samples)

    def test_prints_of_a_plugin_do_not_reach_the_protocol(self, queue: JobQueue) -> None:
        assert run(queue, "loud").error is None


class TestFaults:
    @pytest.mark.parametrize(
        ("plugin_id", "kind", "words"),
        [
            ("raises", PluginError, "preprocess raised ValueError"),
            ("quits", PluginError, "preprocess raised SystemExit"),
            ("none", PluginError, "not a ModelInput"),
            ("nan", PredictionError, "NaN or infinite values; no score"),
            ("swapped", WeightsError, "does not have the hash"),
            ("exits", PluginError, "ended its process"),
            ("killed", PluginError, "killed by signal 9"),
            ("hangs", PluginError, "made no progress for 3 s"),
            pytest.param(
                "greedy", PluginError, "MemoryError", marks=pytest.mark.skipif(sys.platform != "linux", reason="rlimit")
            ),
            ("grows", PluginError, "GiB of memory"),
        ],
    )
    def test_is_named_and_the_next_job_works(
        self,
        queue: JobQueue,
        plugin_id: str,
        kind: type[Exception],
        words: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if plugin_id == "hangs":
            monkeypatch.setattr(queue, "settings", replace(queue.settings, silence_s=3.0))
        status = run(queue, plugin_id)
        monkeypatch.undo()
        assert status.state == "failed"
        assert status.result is None
        assert type(status.error) is kind
        with pytest.raises(kind, match=words) as caught:
            raise status.error  # type: ignore[misc]
        assert f"plugin {plugin_id!r} 0.1.0" in str(caught.value)
        assert CANARY not in str(caught.value)
        assert run(queue, "tiny").state == "done"

    def test_a_worker_killed_from_outside_is_retried_once(self, queue: JobQueue) -> None:
        job = queue.submit(make_study(), "slow", REQUEST, ME)
        wait_until_running(queue, job)
        os.kill(queue.worker_pids()[0], signal.SIGKILL)
        assert queue.wait(job, ME, 120).state == "done"

    def test_a_worker_killed_while_idle_costs_nothing(self, queue: JobQueue) -> None:
        run(queue, "tiny")
        os.kill(queue.worker_pids()[0], signal.SIGKILL)
        assert run(queue, "tiny").state == "done"

    def test_an_unknown_task_is_refused_at_once(self, queue: JobQueue) -> None:
        with pytest.raises(PluginError, match="no task"):
            queue.submit(make_study(), "nope", REQUEST, ME)

    def test_a_request_that_does_not_fit_is_an_error_of_that_job(self, queue: JobQueue) -> None:
        status = run(queue, "tiny", AnalysisRequest(explain=("nonsense",)))
        assert status.state == "failed"
        assert status.partial is not None


class TestOwners:
    def test_another_owner_learns_nothing(self, queue: JobQueue) -> None:
        job = queue.submit(make_study(), "tiny", REQUEST, ME)
        for call in (queue.status, queue.cancel, queue.forget):
            with pytest.raises(JobError, match="no such job") as foreign:
                call(job, OTHER)
            with pytest.raises(JobError, match="no such job") as unknown:
                call("made up", OTHER)
            assert str(foreign.value) == str(unknown.value)
        with pytest.raises(JobError, match="no such job"):
            queue.wait(job, OTHER, 1)
        assert queue.wait(job, ME, 120).state == "done"

    def test_two_owners_get_their_own_case(self, queue: JobQueue) -> None:
        studies = {ME: make_study(seed=1), OTHER: make_study(seed=2)}
        jobs = {owner: queue.submit(study, "tiny", REQUEST, owner) for owner, study in studies.items()}
        for owner, job in jobs.items():
            result = queue.wait(job, owner, 120).result
            assert result is not None
            assert result.study_sha256 == studies[owner].sha256


class TestCancel:
    def test_a_waiting_job_never_runs(self, queue: JobQueue) -> None:
        first = queue.submit(make_study(), "slow", REQUEST, ME)
        second = queue.submit(make_study(), "tiny", REQUEST, ME)
        queue.cancel(second, ME)
        assert queue.status(second, ME).state == "cancelled"
        assert isinstance(queue.status(second, ME).error, JobCancelledError)
        assert queue.wait(first, ME, 120).state == "done"

    def test_a_running_job_ends_soon_and_its_worker_lives_on(self, queue: JobQueue) -> None:
        run(queue, "tiny")
        pids = queue.worker_pids()
        job = queue.submit(make_study(), "brief", REQUEST, ME)
        wait_until_running(queue, job)
        queue.cancel(job, ME)
        assert queue.status(job, ME).state == "cancelled"
        assert run(queue, "tiny").state == "done"
        assert queue.worker_pids() == pids
        assert queue.status(job, ME).result is None

    def test_a_job_that_does_not_listen_is_killed(self, queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(queue, "settings", replace(queue.settings, cancel_grace_s=0.5))
        job = queue.submit(make_study(), "hangs", REQUEST, ME)
        wait_until_running(queue, job)
        started = time.monotonic()
        queue.cancel(job, ME)
        assert run(queue, "tiny").state == "done"
        assert time.monotonic() - started < queue.settings.silence_s

    def test_cancelling_a_finished_job_changes_nothing(self, queue: JobQueue) -> None:
        job = queue.submit(make_study(), "tiny", REQUEST, ME)
        queue.wait(job, ME, 120)
        queue.cancel(job, ME)
        assert queue.status(job, ME).state == "done"


class TestBounds:
    def test_the_queue_is_bounded_for_all_and_for_each(self, plugins: Path) -> None:
        settings = JobSettings(devices=(), max_queued=3, max_queued_per_owner=2)
        jobs = JobQueue(discover([plugins]), settings)
        try:
            ids = [jobs.submit(make_study(), "tiny", REQUEST, ME) for _ in range(2)]
            assert [jobs.status(job, ME).ahead for job in ids] == [0, 1]
            with pytest.raises(JobError, match="full"):
                jobs.submit(make_study(), "tiny", REQUEST, ME)
            jobs.submit(make_study(), "tiny", REQUEST, OTHER)
            with pytest.raises(JobError, match="full"):
                jobs.submit(make_study(), "tiny", REQUEST, "third")
            jobs.cancel(ids[0], ME)
            assert len(list(jobs.scratch.iterdir())) == 2
        finally:
            jobs.close()
        assert not jobs.scratch.exists()
        with pytest.raises(JobError, match="closed"):
            jobs.submit(make_study(), "tiny", REQUEST, ME)

    def test_finished_jobs_are_dropped_after_a_while_and_sooner_once_fetched(
        self, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = queue.submit(make_study(), "tiny", REQUEST, ME)
        assert queue.wait(job, ME, 120).state == "done"
        clock = time.monotonic
        monkeypatch.setattr("whycad.jobs.time.monotonic", lambda: clock() + queue.settings.keep_fetched_s - 5)
        assert queue.status(job, ME).result is not None
        monkeypatch.setattr("whycad.jobs.time.monotonic", lambda: clock() + queue.settings.keep_fetched_s + 5)
        with pytest.raises(JobError, match="no such job"):
            queue.status(job, ME)

    def test_a_forgotten_job_is_gone(self, queue: JobQueue) -> None:
        job = queue.submit(make_study(), "tiny", REQUEST, ME)
        queue.forget(job, ME)
        with pytest.raises(JobError):
            queue.status(job, ME)


def test_the_worker_and_the_files_go_when_the_parent_is_killed(plugins: Path) -> None:
    script = f"""
        from pathlib import Path
        import numpy
        from whycad.jobs import JobQueue, JobSettings
        from whycad.registry import discover
        from whycad.types import AnalysisRequest, Study
        queue = JobQueue(discover([Path({str(plugins)!r})]), JobSettings(devices=("cpu",)))
        study = Study(numpy.eye(48, 3 * 60, dtype="f4").reshape(48, 60, 3), "OT", "0", "rgb")
        job = queue.submit(study, "hangs", AnalysisRequest(), "me")
        while queue.status(job, "me").progress.stage == "queued": pass
        print(queue.worker_pids()[0], queue.scratch, flush=True)
        input()
    """
    environment = worker_environment(os.environ)
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    pid, scratch = parent.stdout.readline().decode().split()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    parent.stdin.close()
    deadline = time.monotonic() + 30
    while (psutil.pid_exists(int(pid)) or Path(scratch).exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
        if psutil.pid_exists(int(pid)) and psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE:
            break
    assert not Path(scratch).exists()
    assert not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE


def test_workers_inherit_no_secrets() -> None:
    kept = worker_environment({"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "s", "GITHUB_TOKEN": "t", "WHYCAD_DB": "u"})
    assert set(kept) == {"PATH", "PYTHONPATH", "PYTHONSAFEPATH"}


class TestProtocol:
    def test_frames_come_back(self) -> None:
        stream = io.BytesIO()
        messages = [{"type": "a", "text": "ü\n\0"}, {"type": "b", "n": [1, 2.5, None]}]
        for message in messages:
            write_frame(stream, message)
        stream.seek(0)
        assert [read_frame(stream), read_frame(stream), read_frame(stream)] == [*messages, None]

    @pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"junkjunkjunk", b"\0\0\0\2[]", b"\0\0\0\1{"])
    def test_bytes_that_are_no_message_are_an_error(self, data: bytes) -> None:
        with pytest.raises(JobError):
            read_frame(io.BytesIO(data))

    @pytest.mark.parametrize("region", [None, Region((1.0, 2.5)), Region((0.0, 0.0), (5.0, 6.0))])
    def test_requests_come_back(self, region: Region | None) -> None:
        request = AnalysisRequest(("ig", "lime"), ">=a", region, 0.8, 7, each_way=True)
        assert request_from_json(request_to_json(request)) == request

    def test_errors_come_back_printable_and_short(self) -> None:
        error = error_from_json(error_to_json(WeightsError("bad\x1b[31m" + "x" * 9999, remedy="again")))
        assert type(error) is WeightsError
        assert error.remedy == "again"
        assert error.message.isprintable()
        assert len(error.message) <= 600
        assert type(error_from_json({"kind": "annotations", "message": "m"})) is JobError

    def test_studies_come_back(self, tmp_path: Path) -> None:
        study = replace(
            make_study(),
            spacing_mm=(0.1, 0.2),
            window=(1.0, 2.0),
            metadata={"sex": "female", "age_years": 41.5},
            warnings=("one",),
            subject_key="k",
        )
        save_study(study, tmp_path / "s")
        back = load_study(tmp_path / "s")
        np.testing.assert_array_equal(back.pixels, study.pixels)
        assert replace(back, pixels=study.pixels).__dict__ == study.__dict__

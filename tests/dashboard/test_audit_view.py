"""The Audit view: runs, verdict, checks, the cases behind a click, comparison, starting and stopping."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import cache
from dashboard.audit_place import AuditPlace, Selection
from dashboard.components.audit import start_form
from dashboard.components.audit.check_page import picture_file
from dashboard.components.audit.run_progress import doing, duration, fraction
from dashboard.components.audit.tables import take_row
from dashboard.settings import Settings
from dashboard.state import KEY
from whycad.audit.data.samples import SAMPLES
from whycad.audit.findings import Picture, Severity
from whycad.audit.run.record import RunRecord, write_record
from whycad.audit.run.runs import read_run
from whycad.audit.run.status import STATUS_FILE, STOP_FILE, Status
from whycad.testing.fake_jobs import FakeQueue
from whycad.testing.sample_audit import drawn_lesion, sample_results, write_sample_audit

VIEW = "dashboard/views/audit.py"
TASK = "skin_lesion"


def words(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.error, app.warning, app.info)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def place(app: AppTest) -> AuditPlace:
    found = app.session_state[KEY].audit
    assert isinstance(found, AuditPlace)
    return found


@pytest.fixture
def audits(tmp_path: Path, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of audits, and a folder of data that may be named."""
    (tmp_path / "data").mkdir()
    settings = Settings(max_cases=3, audits=tmp_path / "audits", audit_data=(tmp_path / "data",))
    monkeypatch.setattr(cache, "settings", lambda: settings)
    return tmp_path / "audits"


def write_pack(folder: Path) -> Path:
    n = 60
    path = folder / "lesions.npz"
    np.savez(
        path,
        images=np.stack([np.asarray(drawn_lesion(i)) for i in range(n)]),
        image_id=np.array([f"case-{i:04d}" for i in range(n)]),
        label=np.array(["nv" if i % 3 else "mel" for i in range(n)]),
        split=np.array(["val"] * n),
    )
    return path


@pytest.fixture
def one_run(audits: Path) -> Path:
    folder = audits / "one"
    write_sample_audit(folder)
    write_record(RunRecord(dataset=write_pack(audits.parent / "data"), task=TASK, split="val"), folder)
    return folder


@pytest.fixture
def view(one_run: Path, app: AppTest) -> AppTest:
    app.switch_page(VIEW).run()
    assert not app.exception
    return app


def test_nothing_run_yet_offers_to_start(audits: Path, app: AppTest) -> None:
    app.switch_page(VIEW).run()
    assert not app.exception
    assert "No audit has been run here yet" in words(app)
    assert app.button(key="start-run").disabled is False, "samples can be audited at once"


def test_verdict_counts_lines_and_simulated(view: AppTest) -> None:
    said = words(view)
    for part in ("### :red[3]", "### :orange[6]", "### :gray[2]", "simulated data", "the split has been used 2 times"):
        assert part in said, part
    assert "A coloured patch lowers" in view.button(key="open-0").label, "the most worrying comes first"
    assert "−0.19" in said
    assert "2 checks gave no result" in [e.label for e in view.expander]


def test_a_line_opens_its_check_and_the_way_leads_back(view: AppTest) -> None:
    view.button(key="open-0").click().run()
    assert place(view).check == "artefact_insertion"
    said = words(view)
    for part in (
        "### Inserted artefacts",
        "How this is computed",
        "19 of 20 planted shortcuts",
        "before: p(melanoma",
    ):
        assert part in said, part
    view.button(key="to-verdict").click().run()
    assert not view.exception
    assert place(view).check == ""


def test_cases_behind_the_leading_finding_are_shown_and_another_can_be_chosen(view: AppTest) -> None:
    assert "Cases behind “coloured patch”" in words(view)
    assert view.button(key="open-case-case-0020").label.replace("\\", "") == "case-0020"
    number = next(b.key for b in view.button if str(b.key).startswith("cases-") and b.label == "12 cases")
    view.button(key=number).click().run()
    assert place(view).selection.cases[0] == "case-0000"
    assert "first" not in words(view).split("Cases behind")[1][:40]


def test_a_case_opens_in_the_case_view_and_back_to_the_same_place(view: AppTest, queue: FakeQueue) -> None:
    view.button(key="open-0").click().run()
    view.button(key="open-case-case-0021").click().run()
    assert not view.exception
    case = view.session_state[KEY].case
    assert (case.source, case.task, case.title.replace("\\", "")) == ("audit", TASK, "Case case-0021")
    assert queue.submitted[-1].plugin_id == TASK
    view.button(key="back-to-audit").click().run()
    assert place(view).check == "artefact_insertion"
    assert "### Inserted artefacts" in words(view)


def test_data_that_are_gone_are_said_to_be_gone(view: AppTest, audits: Path) -> None:
    (audits.parent / "data" / "lesions.npz").unlink()
    view.run()
    assert not view.exception
    assert "The pictures cannot be shown" in words(view)
    assert "A coloured patch lowers" in view.button(key="open-0").label


def test_a_full_worklist_refuses_another_case(view: AppTest) -> None:
    for number in range(20, 24):
        view.switch_page(VIEW).run()
        view.button(key=f"open-case-case-{number:04d}").click().run()
    assert len(view.session_state[KEY].cases) == 3
    assert "The worklist is full" in words(view)


def test_two_runs_are_compared(view: AppTest, audits: Path) -> None:
    second = audits / "two"
    write_sample_audit(second)
    audit = json.loads((second / "audit.json").read_text())
    worst = next(f for f in audit["findings"] if f["check"] == "artefact_insertion")
    worst |= {"severity": "ok", "effect": -0.01, "ci_low": -0.03, "ci_high": 0.01}
    (second / "audit.json").write_text(json.dumps(audit))
    view.run()
    view.selectbox(key="compare-with-one").select("two").run()
    view.run()
    assert not view.exception
    said = words(view)
    assert ":red[**worse**]" in said
    assert "−0.01" in said
    assert "−0.19" in said
    assert "No verdict changed" not in said
    view.button(key="end-comparison").click().run()
    assert place(view).other == ""


def test_an_unreadable_audit_is_a_plain_message(view: AppTest, one_run: Path) -> None:
    (one_run / "audit.json").write_text("{")
    later = time.time() + 5
    os.utime(one_run / "audit.json", (later, later))
    view.run()
    assert not view.exception
    assert "holds no finished audit" in words(view)


def status(folder: Path, **facts: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    body = {"state": "running", "pid": os.getpid(), "updated_utc": time.time(), **facts}
    (folder / STATUS_FILE).write_text(Status.model_validate(body).model_dump_json())


def test_a_running_audit_is_followed_and_stopped(audits: Path, app: AppTest) -> None:
    status(audits / "three", step="predictions", done=10, total=40, seconds_left=45.0, checks_total=4, checks_done=1)
    app.switch_page(VIEW).run()
    assert not app.exception
    app.button(key="stop-run").click().run()
    assert (audits / "three" / STOP_FILE).exists()
    assert app.button(key="stop-run").disabled


def test_a_dead_run_is_interrupted_and_can_go_on(audits: Path, app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    status(audits / "dead", pid=2**22 + 1)
    write_record(RunRecord(dataset=SAMPLES, task=TASK), audits / "dead")
    (audits / "dead" / "log.txt").write_text("reading\nMemoryError\n")
    started: list[str] = []
    monkeypatch.setattr(
        "dashboard.components.audit.run_progress.resume_audit", lambda run, _root: started.append(run.name)
    )
    app.switch_page(VIEW).run()
    assert "interrupted" in words(app)
    assert "MemoryError" in app.code[0].value
    app.button(key="resume-run").click().run()
    assert started == ["dead"]


def test_starting_asks_for_what_was_chosen(audits: Path, app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[RunRecord] = []

    def start(record: RunRecord, root: Path) -> Path:
        asked.append(record)
        return root / "new"

    monkeypatch.setattr(start_form, "start_audit", start)
    pack = write_pack(audits.parent / "data")
    app.switch_page(VIEW).run()
    app.segmented_control(key=f"start-way-{TASK}").set_value(start_form.ON_DATA).run()
    assert app.button(key="start-run").disabled
    app.text_input(key="start-path").set_value("../../etc/passwd").run()
    assert app.button(key="start-run").disabled
    assert "in the folders that may be read" in words(app)
    app.text_input(key="start-path").set_value("lesions.npz").run()
    app.text_input(key="start-split").set_value("val").run()
    app.multiselect(key="start-checks-True").set_value(["missing_metadata"]).run()
    app.button(key="start-run").click().run()
    assert [(r.dataset, r.task, r.split, r.checks) for r in asked] == [
        (pack.resolve(), TASK, "val", ("missing_metadata",))
    ]


def test_starting_can_be_forbidden(audits: Path, app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(audits=audits, may_start=False)
    monkeypatch.setattr(cache, "settings", lambda: settings)
    app.switch_page(VIEW).run()
    assert "started on the command line" in words(app)
    assert not [b for b in app.button if b.key == "start-run"]


# ---- without a page ----


def test_a_marked_row_selects_its_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    table = next(t for r in sample_results() if r.check == "subgroup" for t in r.tables)
    here = AuditPlace()
    monkeypatch.setattr("dashboard.state.chosen_row", lambda _key: 1)
    take_row(here, table, "key")
    assert here.selection == Selection("40 to 59 years", table.cases[1], 12, "key")


def test_pictures_outside_the_folder_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "run" / "pictures").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"x")
    (tmp_path / "run" / "pictures" / "a.png").write_bytes(b"x")
    (tmp_path / "run" / "pictures" / "b.png").symlink_to(tmp_path / "secret.png")
    run = tmp_path / "run"
    assert picture_file(run, Picture(file="pictures/a.png", caption="")) is not None
    for name in ("../secret.png", "pictures/../../secret.png", "pictures/b.png", "pictures/none.png"):
        assert picture_file(run, Picture(file=name, caption="")) is None, name


def test_progress_is_worded() -> None:
    running = Status(
        state="running", step="predictions", done=10, total=40, seconds_left=300, checks_done=1, checks_total=4
    )
    assert doing(running) == "Predictions: 10 of 40 images, 1 of 4 checks done, about 5 min left in this step"
    assert fraction(running) == pytest.approx(1.25 / 4)
    assert [duration(s) for s in (40, 100, 4800, 6000)] == ["40 s", "2 min", "80 min", "1 h 40 min"]


def test_a_place_forgets_the_cases_when_it_moves() -> None:
    here = AuditPlace("a", selection=Selection("x", ("1",), 1), page=3)
    here.go("subgroup")
    assert (here.check, here.selection.cases, here.page) == ("subgroup", (), 1)
    here.show("b")
    assert (here.run, here.check) == ("b", "")


def test_a_run_without_a_process_is_done_or_interrupted(tmp_path: Path) -> None:
    write_sample_audit(tmp_path / "done")
    found = read_run(tmp_path / "done")
    assert found is not None
    assert found.state == "done"
    assert Severity.CRITICAL in {f.severity for f in found.read().findings}

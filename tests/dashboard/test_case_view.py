"""The Case view, from an empty page to a refused image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import cache
from dashboard.components import opener
from dashboard.state import KEY, Session
from whycad.errors import CorruptImageError, PluginError
from whycad.imaging import StudyItem
from whycad.testing.examples import ExampleOptions, example_study
from whycad.testing.fake_jobs import FakeQueue
from whycad.types import DecisionKind

METHODS = ("gradcam", "ig", "occlusion", "lime")
HOSTILE = "<img src=x onerror=alert(1)> [click](https://evil.example) \u202e"


def session(app: AppTest) -> Session:
    found = app.session_state[KEY]
    assert isinstance(found, Session)
    return found


def words(app: AppTest) -> str:
    """Everything that the main page says, as Markdown."""
    kinds = (app.markdown, app.caption, app.error, app.warning, app.info)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def pick(app: AppTest, index: int = 0) -> AppTest:
    return app.button(key=f"sample-skin_lesion-{index}").click().run()


def open_study(app: AppTest, **changes: object) -> AppTest:
    """Put a study on the worklist as an upload does."""
    from dashboard.state import OpenCase

    study = replace(example_study(seed=9), **changes)  # type: ignore[arg-type]
    session(app).open(OpenCase("upload", "Upload 12345678", study, "upload"))
    return app.run()


def test_starts_empty_with_notice_and_samples(app: AppTest) -> None:
    assert not app.exception
    assert "not for clinical use" in words(app)
    assert "Open a case" in words(app)
    assert len([b for b in app.button if b.key and b.key.startswith("sample-")]) == 3


def test_sample_leads_to_a_decision(app: AppTest, queue: FakeQueue) -> None:
    pick(app)
    assert not app.exception
    said = words(app)
    for part in (
        "Melanoma",
        "71 \\%",
        "members 63 to 79",
        "Refer to a specialist",
        "90 \\% set",
        "38th percentile",
        "simulated",
    ):
        assert part in said, part
    assert [asked.request.explain for asked in queue.submitted] == [METHODS]


def test_a_rerun_asks_for_nothing_again(app: AppTest, queue: FakeQueue) -> None:
    pick(app)
    app.run()
    app.run()
    assert len(queue.submitted) == 1


def test_label_and_level_redraw_without_the_model(app: AppTest, queue: FakeQueue) -> None:
    pick(app)
    asked = len(queue.submitted)
    case = session(app).case
    assert case is not None
    app.selectbox(key=f"target-{case.id}-skin_lesion").set_value("bcc").run()
    assert "No maps for this yet" in words(app)
    assert "Melanocytic nevus" in _row(app, "90 \\% set")
    open_tab(app, "How sure")
    _coverage(app).set_value(0.8).run()
    assert _row(app, "80 \\% set").count("Melanoma") == 1
    assert "Melanocytic nevus" not in _row(app, "80 \\% set")
    assert len(queue.submitted) == asked


def test_maps_of_another_label_come_when_asked_for(app: AppTest, queue: FakeQueue) -> None:
    pick(app)
    case = session(app).case
    assert case is not None
    app.selectbox(key=f"target-{case.id}-skin_lesion").set_value("bcc").run()
    app.button(key="explain-for").click().run()
    assert [asked.request.target for asked in queue.submitted[1:]] == ["bcc"]
    assert "No maps for this yet" not in words(app)
    result = case.work["skin_lesion"].result
    assert result is not None
    assert {(a.method, a.target) for a in result.attributions} == {(m, t) for m in METHODS for t in ("mel", "bcc")}


def test_running_job_is_cancelled(app: AppTest, queue: FakeQueue) -> None:
    queue.hold = True
    pick(app)
    assert app.button(key="cancel-job")
    app.button(key="cancel-job").click().run()
    assert queue.forgotten == ["job-0"]
    assert "Cancelled" in words(app)
    queue.hold = False
    app.button(key="analyse").click().run()
    assert "Refer to a specialist" in words(app)


def test_failure_is_a_message_and_the_session_goes_on(app: AppTest, queue: FakeQueue) -> None:
    queue.error = PluginError(f"plugin 'skin_lesion' 1.0.0: {HOSTILE}")
    pick(app)
    assert not app.exception
    assert_inert(words(app))
    assert len(queue.submitted) == 1, "the other maps are not tried without a prediction"
    queue.error = None
    pick(app, 1)
    assert "Refer to a specialist" in words(app)


def test_refused_image_shows_no_number(app: AppTest, queue: FakeQueue) -> None:
    queue.options = ExampleOptions(kind=DecisionKind.REJECT, reasons=("The image is one flat value.",))
    pick(app)
    assert not app.exception
    assert "No score" in words(app)
    assert "No answer for this image" in words(app)
    assert "The image is one flat value" in words(app)


def test_reported_image_is_no_all_clear(app: AppTest, queue: FakeQueue) -> None:
    queue.options = ExampleOptions(leading=5, kind=DecisionKind.REPORT, reasons=())
    pick(app)
    assert "This is not an all-clear" in words(app)
    assert "Refer to a specialist" not in words(app)


def test_image_that_suits_no_task_gets_no_score(app: AppTest, queue: FakeQueue) -> None:
    open_study(app, modality="CT")
    assert "No task reads this image" in words(app)
    assert not queue.submitted
    assert_inert(words(app))


def test_what_a_file_says_is_inert(app: AppTest) -> None:
    open_study(app, warnings=(HOSTILE,), metadata={"site": HOSTILE, HOSTILE: HOSTILE})
    assert not app.exception
    assert "onerror" in words(app)
    assert_inert(words(app))


def test_worklist_switches_and_closes(app: AppTest) -> None:
    pick(app, 0)
    pick(app, 1)
    first, second = session(app).cases
    app.button(key=f"show-{first}").click().run()
    assert session(app).current == first
    app.button(key=f"close-{first}").click().run()
    assert list(session(app).cases) == [second]


def test_same_image_opens_once(app: AppTest) -> None:
    pick(app, 0)
    pick(app, 0)
    assert len(session(app).cases) == 1


def test_true_label_comes_on_request(app: AppTest) -> None:
    pick(app, 1)
    assert "Simulated as" not in words(app)
    app.button(key="reveal").click().run()
    assert "Simulated as: **Basal cell carcinoma**, not what the model says" in words(app)


def test_two_sessions_share_nothing_of_a_case(app: AppTest, queue: FakeQueue) -> None:
    other = AppTest.from_file(app._script_path, default_timeout=60).run()
    pick(app, 0)
    other.run()
    assert session(other).case is None
    assert "Refer to a specialist" not in words(other)


def test_uploads_are_read_named_by_hash_and_forgotten(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(contents: Sequence[bytes]) -> tuple[StudyItem, ...]:
        assert contents == [b"text", b"12345"]
        broken = CorruptImageError("this is not an image", remedy="open a DICOM, PNG or JPEG file")
        return StudyItem((0,), None, broken), StudyItem((1,), example_study(seed=5))

    monkeypatch.setattr(opener, "read_studies", read)
    files = [("Doe^Jane.dcm", b"text", "application/dicom"), ("b.png", b"12345", "image/png")]
    app.file_uploader(key="upload-0").set_value(files).run()
    assert not app.exception
    assert "File 1: **this is not an image**" in words(app)
    assert [case.title.startswith("Upload ") for case in session(app).cases.values()] == [True]
    assert "Doe" not in words(app)
    assert app.file_uploader(key="upload-1").value == []


def test_full_worklist_takes_no_more(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(contents: Sequence[bytes]) -> tuple[StudyItem, ...]:
        return tuple(StudyItem((i,), example_study(seed=i)) for i in range(len(contents)))

    monkeypatch.setattr(opener, "read_studies", read)
    files = [(f"{n}.png", b"1" * n, "image/png") for n in range(1, 5)]
    app.file_uploader(key="upload-0").set_value(files).run()
    assert len(session(app).cases) == cache.settings().max_cases
    assert "File 4: the worklist is full" in words(app)
    assert session(app).current == next(iter(session(app).cases)), "the first of the files is shown"


def _row(app: AppTest, name: str) -> str:
    lines = [line for element in app.markdown for line in str(element.value).splitlines()]
    return next(line for line in lines if line.startswith(f"| {name} "))


def open_tab(app: AppTest, name: str) -> AppTest:
    app.session_state["case-tabs"] = name
    return app.run()


def _coverage(app: AppTest):  # type: ignore[no-untyped-def]
    return app.segmented_control(key="coverage")


def assert_inert(markdown: str) -> None:
    """No tag, link or direction mark that is not escaped."""
    assert not re.search(r"(?<!\\)(?:<img|]\(http)", markdown)
    assert "\u202e" not in markdown

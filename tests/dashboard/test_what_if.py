"""Changes of an image: what the marks mean, what is asked, what is shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.components.viewer.model import Stroke, ViewerEvent
from dashboard.components.why.what_if import change_lines, drawn
from dashboard.state import KEY, Session, Work
from dashboard.what_if_work import marked_region
from whycad.errors import JobError
from whycad.manifest import Manifest
from whycad.testing.examples import ExampleOptions, example_result, example_study, example_volume
from whycad.testing.fake_jobs import FakeQueue
from whycad.types import Region
from whycad.whatif.request import WhatIfKind, WhatIfRequest, mask_of
from whycad.whatif.result import WhatIf

BOX = ViewerEvent("box", 1, box=((10, 20), (14, 29)))


def change(manifest: Manifest, **changes: object) -> WhatIf:
    study = example_study()
    before = example_result(study, manifest, ExampleOptions(leading=4)).prediction
    after = example_result(study, manifest, ExampleOptions(leading=5, probability=0.6)).prediction
    mask = np.zeros(study.spatial_shape, bool)
    mask[10:40, 20:60] = True
    made = WhatIf(WhatIfKind.REGION, "Without the marked region.", mask, study.pixels, before, after, accepted=True)
    return replace(made, **changes)  # type: ignore[arg-type]


def work(app: AppTest) -> Work:
    found = app.session_state[KEY]
    assert isinstance(found, Session)
    assert found.case is not None
    return found.case.work_for("skin_lesion")


@pytest.fixture
def case(app: AppTest, queue: FakeQueue) -> AppTest:
    queue.what_if = (change(queue.manifest),)
    return app.button(key="sample-skin_lesion-0").click().run()


def words(app: AppTest) -> str:
    return "\n".join(str(e.value) for kind in (app.markdown, app.caption, app.info) for e in kind)


def test_a_box_means_its_pixels_with_both_corners() -> None:
    what = marked_region(BOX, (96, 128))
    assert what is not None
    mask = mask_of(what, (96, 128))
    assert mask.sum() == 5 * 10
    assert mask[10, 20]
    assert mask[14, 29]


def test_strokes_mean_what_they_paint() -> None:
    event = ViewerEvent("brush", 1, brush=(Stroke(((50, 60), (50, 70)), 3.0),))
    what = marked_region(event, (96, 128))
    assert what is not None
    mask = mask_of(what, (96, 128))
    assert mask[50, 65]
    assert mask[53, 65]
    assert not mask[54, 65]


def test_strokes_on_a_volume_stay_on_the_slice_of_the_last_one() -> None:
    strokes = (Stroke(((1, 5, 5),), 2.0), Stroke(((3, 20, 20),), 2.0))
    what = marked_region(ViewerEvent("brush", 1, brush=strokes), (6, 40, 48))
    assert what is not None
    mask = mask_of(what, (6, 40, 48))
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [3]
    assert mask[3, 20, 20]
    assert not mask[3, 5, 5]


def test_the_last_mark_counts() -> None:
    both = replace(BOX, brush=(Stroke(((50, 60),), 3.0),))
    assert marked_region(both, (96, 128)) == marked_region(BOX, (96, 128))
    painted = marked_region(replace(both, kind="brush"), (96, 128))
    assert painted is not None
    assert painted.runs
    assert marked_region(ViewerEvent(), (96, 128)) is None


def test_nothing_can_be_taken_away_without_a_mark(case: AppTest) -> None:
    assert case.button(key="what-if-region").disabled
    assert not case.button(key="what-if-artefact").disabled


@pytest.mark.parametrize("kind", ["artefact", "counterfactual", "fragility"])
def test_each_button_asks_for_its_kind_and_shows_what_came(case: AppTest, queue: FakeQueue, kind: str) -> None:
    case.button(key=f"what-if-{kind}").click().run()
    assert not case.exception
    assert [what.kind.value for what in queue.changes] == [kind]
    assert "Without the marked region" in words(case)
    assert "gate accepts the changed image" in words(case)
    case.run()
    assert len(queue.changes) == 1, "a rerun asks for nothing again"


def test_the_model_looks_where_it_looked_before(case: AppTest, queue: FakeQueue) -> None:
    work(case).region = Region((3.0, 4.0))
    case.button(key="what-if-artefact").click().run()
    assert queue.changed_at == [Region((3.0, 4.0))]


def test_nothing_found_is_said(case: AppTest, queue: FakeQueue) -> None:
    queue.what_if = ()
    case.button(key="what-if-artefact").click().run()
    assert "Nothing of the kind was found" in words(case)


def test_a_failure_is_said_and_the_rest_stays(case: AppTest, queue: FakeQueue) -> None:
    case.button(key="what-if-artefact").click().run()
    queue.error = JobError("the worker stopped", remedy="try again")
    case.button(key="what-if-fragility").click().run()
    said = words(case)
    assert "the worker stopped" in said
    assert "Without the marked region" in said


def test_closing_a_case_stops_its_change(case: AppTest, queue: FakeQueue) -> None:
    queue.hold = True
    case.button(key="what-if-artefact").click().run()
    job = work(case).changes.job_id
    assert job
    case.button(key=next(b.key for b in case.button if b.key and b.key.startswith("close-"))).click().run()
    assert job in queue.forgotten


def test_lines_name_answer_control_and_gate(queue: FakeQueue) -> None:
    made = change(queue.manifest)
    lines = change_lines(replace(made, sham=made.before, accepted=False, reasons=("too dark",)), queue.manifest)
    assert lines[0] == "Melanoma: 71 % before, 6.7 % after"
    assert lines[1] == "A sham of equal size elsewhere leaves Melanoma at 71 %"
    assert lines[2] == "The answer becomes Melanocytic nevus"
    assert lines[3] == "The gate refuses it: too dark"
    assert change_lines(replace(made, sham=made.after), queue.manifest)[1] == (
        "A sham of equal size elsewhere changes Melanoma by −64.3 points, to 6.7 %"
    )
    assert not any("sham" in line for line in change_lines(made, queue.manifest))


def test_pictures_of_images_and_of_slices_are_drawn(queue: FakeQueue) -> None:
    before, after = drawn(change(queue.manifest), example_study())
    assert before.startswith(b"\x89PNG")
    assert before != after
    volume = example_volume()
    mask = np.zeros(volume.spatial_shape, bool)
    mask[2, 10:20, 10:20] = True
    flat = change(queue.manifest, picture=volume.pixels[2], mask=mask, shown=2)
    assert all(part.startswith(b"\x89PNG") for part in drawn(flat, volume))


def test_asking_again_replaces_what_still_runs(case: AppTest, queue: FakeQueue) -> None:
    queue.hold = True
    case.button(key="what-if-artefact").click().run()
    assert case.button(key="what-if-fragility").disabled
    assert WhatIfRequest(WhatIfKind.ARTEFACT) in queue.changes

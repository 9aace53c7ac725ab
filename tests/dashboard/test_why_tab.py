"""The Why tab: argument, known cases, graded maps, both views, comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import work
from dashboard.components import case_viewer
from dashboard.components.overlays import overlays, shown_maps
from dashboard.components.viewer import ViewerEvent, ViewerImage, ViewerOptions, ViewerOverlay, viewer
from dashboard.components.why.argument import in_order
from dashboard.components.why.grades import badge, methods_to_make
from dashboard.components.why.similar import sentences
from dashboard.state import KEY, Session, Work
from whycad import map_choice, wording
from whycad.manifest import Manifest, load_manifest
from whycad.map_choice import GRADIENT_METHODS, methods_for_researchers
from whycad.method_files import MethodFile, method_files
from whycad.testing.examples import ExampleOptions, example_result, example_study
from whycad.testing.fake_jobs import FakeQueue
from whycad.types import Finding, SimilarCase

GRADES = {"gradcam": "C", "ig": "A", "occlusion": "B", "lime": "fails"}
FINDINGS = (
    Finding(
        "Asymmetry is low: 81 % of melanomas are less symmetric.", False, 0.4, "measurement", "asymmetry", "lesion"
    ),
    Finding("Border irregularity 0.61, above 93 % of nevi.", True, 0.9, "measurement", "border", "lesion"),
    Finding("68 % of the map lies in the lesion.", True, 0.3, "map", "ig"),
    Finding("The map lies elsewhere than what was measured.", False, 1.0, "conflict", "ig"),
)
SIMILAR = (
    SimilarCase("r1", "mel", 0.21, 40.0, "leading"),
    SimilarCase("r2", "nv", 0.27, 55.0, "runner_up"),
    SimilarCase("r3", "akiec", 0.0, 1.0, "must_not_miss"),
)


@pytest.fixture
def manifest(queue: FakeQueue) -> Manifest:
    return queue.manifest


@pytest.fixture
def case(app: AppTest, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    # The findings are the example's own, not drawn up from its measurements.
    monkeypatch.setattr(work, "with_findings", lambda result, plugin: result)
    queue.options = ExampleOptions(leading=4, grades=GRADES, findings=FINDINGS, similar=SIMILAR)
    return app.button(key="sample-skin_lesion-0").click().run()


def words(app: AppTest) -> str:
    return "\n".join(str(e.value) for kind in (app.markdown, app.caption) for e in kind)


def job(app: AppTest) -> Work:
    found = app.session_state[KEY]
    assert isinstance(found, Session)
    assert found.case is not None
    return found.case.work_for("skin_lesion")


def researcher(app: AppTest) -> AppTest:
    return app.segmented_control(key="reader").set_value("Researcher").run()


def test_argument_says_what_speaks_for_and_against(case: AppTest) -> None:
    assert not case.exception
    said = words(case)
    assert "Line of argument for Melanoma" in said
    places = [said.index(part) for part in ("Border irregularity", "68 \\% of the map", "Asymmetry", "elsewhere")]
    assert places == sorted(places)
    assert ":red[**+**] Border" in said
    assert ":blue[**−**] Asymmetry" in said
    assert "outline “lesion”" in said


def test_a_finding_shows_its_map(case: AppTest) -> None:
    shows = [b for b in case.button if b.key and b.key.startswith("show-finding")]
    assert shows, "IG is the best-graded gradient map, so its finding has a picture"
    shows[0].click().run()
    assert job(case).focus == "ig"


def test_findings_come_in_the_order_of_an_argument() -> None:
    assert [f.source for f in in_order(FINDINGS)] == ["measurement", "map", "measurement", "conflict"]
    assert [f.speaks_for for f in in_order(FINDINGS)][:3] == [True, True, False]


def test_nothing_found_is_said(app: AppTest, queue: FakeQueue) -> None:
    app.button(key="sample-skin_lesion-0").click().run()
    said = words(app)
    assert "Nothing that was measured speaks clearly" in said
    assert "no reference set" in said


def test_known_cases_carry_label_distance_and_what_the_picture_is(case: AppTest) -> None:
    said = words(case)
    assert "0.21" in said
    assert "simulated stand-ins" in said
    assert "Simulated stand-in" in said.replace("simulated stand-ins", ""), "under each picture"
    assert "The same image\\, or a copy of it\\, is in the reference set" in said


def test_roles_are_named(manifest: Manifest) -> None:
    first = sentences(SIMILAR, manifest)[0]
    assert "Melanoma (of the leading label); Melanocytic nevus (of the runner-up)" in first
    assert len(sentences(SIMILAR[:2], manifest)) == 1


def test_clinicians_get_the_best_graded_gradient_map_and_lime(case: AppTest) -> None:
    said = words(case)
    assert "Integrated gradients" in said
    assert "LIME" in said
    assert "Occlusion**" not in said
    assert "do not rely on this map" in said
    assert "A reason for grade A" in said


def test_researchers_get_every_map_with_seed_and_more_methods(case: AppTest, queue: FakeQueue) -> None:
    researcher(case)
    said = words(case)
    for name in ("Grad\\-CAM", "Occlusion", "Seed 0; samples 200"):
        assert name in said, name
    asked = len(queue.submitted)
    case.multiselect(key="more-methods").set_value(["rise"]).run()
    case.button(key="make-maps").click().run()
    assert [s.request.explain for s in queue.submitted[asked:]] == [("rise",)]


def test_stopping_early_is_off_until_a_researcher_wants_it_and_lime_can_then_be_made_anew(
    case: AppTest, queue: FakeQueue
) -> None:
    assert not any(toggle.key == "stop-when-stable" for toggle in case.toggle)
    researcher(case)
    assert not any(s.request.stop_when_stable for s in queue.submitted)
    assert "LIME" not in case.multiselect(key="more-methods").options
    case.toggle(key="stop-when-stable").set_value(True).run()
    assert "LIME" in case.multiselect(key="more-methods").options
    case.multiselect(key="more-methods").set_value(["lime"]).run()
    case.button(key="make-maps").click().run()
    asked = queue.submitted[-1].request
    assert (asked.explain, asked.stop_when_stable) == (("lime",), True)


def test_a_map_that_was_made_as_wanted_is_not_offered_again(manifest: Manifest) -> None:
    made = example_result(example_study(), manifest, ExampleOptions(methods=("lime", "ig"))).attributions
    early = [replace(a, parameters={**a.parameters, "most_samples": 400}) for a in made]
    assert "lime" not in methods_to_make(manifest, made, stop_when_stable=False)
    assert "lime" in methods_to_make(manifest, made, stop_when_stable=True)
    assert "lime" not in methods_to_make(manifest, early, stop_when_stable=True)
    assert "ig" not in methods_to_make(manifest, early, stop_when_stable=False)


def test_a_method_that_somebody_added_is_on_the_researchers_menu(
    case: AppTest, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {**method_files(), "leaves": MethodFile("leaves", "Tea leaves")}
    for module in (map_choice, wording):
        monkeypatch.setattr(module, "method_files", lambda: found)
    researcher(case)
    assert "Tea leaves" in case.multiselect(key="more-methods").options
    case.multiselect(key="more-methods").set_value(["leaves"]).run()
    case.button(key="make-maps").click().run()
    assert queue.submitted[-1].request.explain == ("leaves",)


def test_the_view_is_kept_over_cases(case: AppTest) -> None:
    researcher(case)
    case.button(key="sample-skin_lesion-1").click().run()
    assert case.session_state[KEY].researcher
    assert "Seed 0" in words(case)


def test_where_members_differ_is_a_map_of_its_own(manifest: Manifest) -> None:
    result = example_result(example_study(), manifest, ExampleOptions(leading=4, grades=GRADES, methods=tuple(GRADES)))
    found = Work(result=result)
    few = [o.id for o in overlays(found, "mel", manifest, researcher=False)]
    many = [o.id for o in overlays(found, "mel", manifest, researcher=True)]
    assert few == ["ig", "lime", "ig-differs"]
    assert many == [*GRADES, *(f"{method}-differs" for method in GRADES)]
    assert shown_maps(found, "nv", manifest, researcher=True) == ()


def test_overlays_are_kept_until_their_grade_changes(manifest: Manifest) -> None:
    result = example_result(example_study(), manifest, ExampleOptions(leading=4, methods=("gradcam",)))
    found = Work(result=result)
    first = overlays(found, "mel", manifest, researcher=False)[0]
    assert overlays(found, "mel", manifest, researcher=False)[0] is first
    object.__setattr__(result.attributions[0].fidelity, "grade", "A")
    again = overlays(found, "mel", manifest, researcher=False)[0]
    assert again is not first
    assert again.grade == "A"


def test_targets_offer_labels_then_contrasts(case: AppTest, queue: FakeQueue) -> None:
    menu = next(box for box in case.selectbox if box.key and box.key.startswith("target-"))
    assert menu.options[0].startswith("Maps for Melanoma, 71 %")
    assert "Maps for Melanoma rather than Actinic keratosis" in menu.options
    menu.set_value("mel/akiec").run()
    assert "No maps for this yet" in words(case)
    case.button(key="explain-for").click().run()
    assert queue.submitted[-1].request.target == "mel/akiec"


def test_comparing_shows_a_second_viewer(case: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, ViewerOptions]] = []

    def note(image: ViewerImage, overlays: Sequence[ViewerOverlay] = (), **asked: Any) -> ViewerEvent:
        drawn.append((asked["key"], asked["options"]))
        return viewer(image, overlays, **asked)

    monkeypatch.setattr(case_viewer, "viewer", note)
    case.run()
    assert [key for key, _ in drawn] == ["case-viewer"]
    drawn.clear()
    case.toggle[0].set_value(True).run()
    assert [key for key, _ in drawn] == ["case-viewer", "case-viewer-beside"]
    first, second = (options for _, options in drawn)
    assert first.link == second.link != ""
    assert first.overlay != second.overlay


@pytest.mark.parametrize(("grade", "colour"), [("A", "green"), ("fails", "red"), ("", "gray")])
def test_grades_have_colours(grade: str, colour: str) -> None:
    assert badge(grade).startswith(f":{colour}-badge")


def test_the_list_of_methods_without_torch_is_the_true_one() -> None:
    from whycad.explain import METHODS, fitting_methods
    from whycad.registry import discover

    assert {id_ for id_, one in METHODS.items() if one.scope == "member"} == set(GRADIENT_METHODS)
    assert method_files() == {id_: MethodFile(id_, one.name, one.needs_layer) for id_, one in METHODS.items()}
    for entry in discover().entries:
        section = load_manifest(entry.folder).explain
        assert set(methods_for_researchers(section)) == set(fitting_methods(section))

"""The line of argument: planted numbers give their sentences; maps and measurements that disagree are named."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whycad.argument import CLEAR, MOST_EACH_WAY, line_of_argument, log_ratio, pair_of
from whycad.manifest import Manifest
from whycad.reference import Distribution, Reference, ReferenceSource, distribution_of
from whycad.testing.examples import ExampleOptions, example_result
from whycad.testing.plugins import TinyPlugin, make_study, write_plugin
from whycad.types import Attribution, Concept, DecisionKind, Fidelity, Measurement, Segmentation, TaskKind

MORE = """
[argument]
silent = ["answer"]
[argument.words.size]
less = "are smaller"
more = "are larger"
"""


def bell(centre, n=400):
    return distribution_of(np.sort(np.random.default_rng(3).normal(centre, 1, n)))


LOW, HIGH = bell(0.0), bell(2.0)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    plugin = write_plugin(tmp_path_factory.mktemp("plugins"), TinyPlugin(more=MORE))
    labels = tuple(label.model_copy(update={"plural": f"{label.code}s"}) for label in plugin.manifest.labels)
    return plugin.manifest.model_copy(update={"labels": labels})


def reference(**measurements):
    source = ReferenceSource(dataset="made", selection="", n=800, weights_sha256="0" * 64)
    made = {key: Distribution(name=key, labels=labels) for key, labels in measurements.items()}
    return Reference(source=source, measurements=made, concepts={"margin": made["size"]})


# The leading label "b" has high values, its runner-up low ones.
KNOWN = reference(size={"b": HIGH, "c": LOW, "a": LOW}, answer={"b": HIGH, "c": LOW, "a": LOW})
MASK = np.zeros((48, 60), bool)
MASK[10:30, 20:40] = True
INSIDE = np.where(MASK, 1, 0.01).astype(np.float32)
OUTSIDE = np.where(MASK, 0.01, 1).astype(np.float32)


def attribution(values, target="b", method="gradcam", grade=""):
    return Attribution(method, target, values, signed=False, fidelity=Fidelity(grade=grade))


def result(manifest, size=None, maps=(), **changes):
    base = example_result(make_study(), manifest, ExampleOptions(leading=1, probability=0.7))
    measured = () if size is None else (Measurement("Size", size, "mm", key="size", outline="blob"),)
    return replace(
        base, measurements=measured, concepts=(), segmentations=(Segmentation("blob", MASK, "made"),),
        attributions=maps, findings=(), **changes,
    )  # fmt: skip


def test_a_far_value_speaks_for_the_leading_label_in_the_runner_ups_terms(manifest):
    (found,) = line_of_argument(result(manifest, 2.5), manifest, KNOWN)
    assert found.sentence.startswith("Size 2.5 mm, above ")
    assert found.sentence.endswith("s in the reference set.")
    assert found.speaks_for
    assert (found.source, found.key, found.outline) == ("measurement", "size", "blob")
    assert found.strength > 0.7


def test_a_far_value_against_it_is_told_in_its_own_terms(manifest):
    (found,) = line_of_argument(result(manifest, -0.5), manifest, KNOWN)
    assert found.sentence == "Size -0.5 mm, below 99 % of bs in the reference set."
    assert not found.speaks_for


def test_few_cases_with_such_a_value_speak_by_their_number_not_their_order(manifest):
    wide = distribution_of(np.linspace(-1, 9, 400))
    (found,) = line_of_argument(result(manifest, 0.3), manifest, reference(size={"b": wide, "c": LOW, "a": LOW}))
    assert found.sentence == "Size 0.3 mm, below 87 % of bs in the reference set."
    (found,) = line_of_argument(result(manifest, 0.3), manifest, reference(size={"b": LOW, "c": wide, "a": wide}))
    assert found.sentence == "Size 0.3 mm, below 87 % of as in the reference set."


def test_what_tells_nothing_is_left_out(manifest):
    assert line_of_argument(result(manifest, 1.0), manifest, KNOWN) == ()
    same = reference(size={"b": LOW, "c": LOW, "a": LOW})
    assert line_of_argument(result(manifest, 0.0), manifest, same) == ()


def test_silent_measurements_make_no_finding(manifest):
    given = replace(result(manifest), measurements=(Measurement("Answer", 5.0, "", key="answer"),))
    assert line_of_argument(given, manifest, KNOWN) == ()


def test_ratings_speak_too(manifest):
    rated = Concept("margin", "?", ("x", "y", "z"), (0.0, 0.0, 1.0))
    (found,) = line_of_argument(replace(result(manifest), concepts=(rated,)), manifest, KNOWN)
    assert found.source == "concept"
    assert found.sentence.startswith("Margin rated 3.0 of 3 by the model (most likely “z”), above")


def test_at_most_five_each_way_strongest_first(manifest):
    keys = {f"k{i}": {"b": HIGH, "c": LOW, "a": LOW} for i in range(9)}
    many = reference(size=KNOWN.measurements["size"].labels, **keys)
    measured = tuple(Measurement(f"M{i}", 1.3 + 0.2 * i, "", key=f"k{i}") for i in range(9))
    found = line_of_argument(replace(result(manifest), measurements=measured), manifest, many)
    assert len(found) == MOST_EACH_WAY
    assert [f.strength for f in found] == sorted((f.strength for f in found), reverse=True)


def test_a_map_in_the_outline_speaks_for_the_label(manifest):
    (found,) = line_of_argument(result(manifest, maps=(attribution(INSIDE),)), manifest, None)
    assert found.sentence == "94 % of the Grad-CAM map lies in the blob, which takes 14 % of what the model saw."
    assert found.speaks_for
    assert (found.source, found.key, found.outline) == ("map", "gradcam", "blob")


def test_a_coarse_map_that_spills_over_a_small_outline_is_not_elsewhere(manifest):
    spilled = np.zeros(MASK.shape, np.float32)
    spilled[4:36, 14:46] = 1
    spilled[28:40, 40:52] = 2
    found = line_of_argument(result(manifest, 3.0, (attribution(spilled),)), manifest, KNOWN)
    assert all(item.source != "conflict" for item in found)


def test_a_map_that_avoids_the_outline_speaks_against(manifest):
    full = replace(result(manifest, maps=(attribution(OUTSIDE),)), segmentations=(Segmentation("blob", ~MASK, "x"),))
    assert line_of_argument(full, manifest, None)[0].speaks_for
    against = attribution(np.where(MASK, 1, 0.01).astype(np.float32))
    (found,) = line_of_argument(replace(full, attributions=(against,)), manifest, None)
    assert not found.speaks_for


@pytest.mark.parametrize("other", [attribution(INSIDE, target="a"), attribution(INSIDE, grade="fails")])
def test_maps_of_other_labels_and_failed_ones_say_nothing(manifest, other):
    assert line_of_argument(result(manifest, maps=(other,)), manifest, None) == ()


def test_a_label_of_which_nothing_is_to_be_seen_has_no_seat(manifest):
    argument = manifest.argument.model_copy(update={"absent": ("b",)})
    absent = manifest.model_copy(update={"argument": argument})
    found = line_of_argument(result(absent, 3.0, (attribution(OUTSIDE),)), absent, KNOWN)
    assert [item.source for item in found] == ["measurement"]


def test_a_contrast_with_the_leading_label_counts(manifest):
    assert line_of_argument(result(manifest, maps=(attribution(INSIDE, target="b/c"),)), manifest, None)


def test_measurements_for_and_a_map_elsewhere_are_a_conflict(manifest):
    first, *_ = line_of_argument(result(manifest, 3.0, (attribution(OUTSIDE),)), manifest, KNOWN)
    assert first.source == "conflict"
    assert "Map and measurements disagree" in first.sentence
    assert "outside the blob" in first.sentence
    assert not first.speaks_for


def test_a_map_inside_and_measurements_against_are_a_conflict(manifest):
    first, *_ = line_of_argument(result(manifest, -1.0, (attribution(INSIDE),)), manifest, KNOWN)
    assert first.source == "conflict"
    assert "rather than Label b" in first.sentence


@pytest.mark.parametrize(("size", "values"), [(3.0, INSIDE), (-1.0, OUTSIDE), (1.0, OUTSIDE), (1.0, INSIDE)])
def test_what_goes_together_is_no_conflict(manifest, size, values):
    found = line_of_argument(result(manifest, size, (attribution(values),)), manifest, KNOWN)
    assert all(item.source != "conflict" for item in found)


def test_one_map_of_three_elsewhere_is_no_conflict(manifest):
    maps = (attribution(OUTSIDE), attribution(INSIDE, method="ig"), attribution(INSIDE, method="lime"))
    found = line_of_argument(result(manifest, 3.0, maps), manifest, KNOWN)
    assert all(item.source != "conflict" for item in found)


def test_a_declined_case_has_no_findings(manifest):
    refused = example_result(
        make_study(), manifest, ExampleOptions(leading=1, kind=DecisionKind.REJECT, reasons=("x",))
    )
    given = replace(result(manifest, 3.0, (attribution(INSIDE),)), prediction=refused.prediction)
    assert line_of_argument(given, manifest, KNOWN) == ()


def test_an_ordinal_task_is_set_against_its_neighbour(manifest):
    ordinal = manifest.model_copy(update={"kind": TaskKind.ORDINAL})
    base = result(manifest)
    probabilities = np.array([0.3, 0.1, 0.6], np.float32)
    given = replace(base, prediction=replace(base.prediction, probabilities=probabilities, predicted="c"))
    assert pair_of(given, ordinal, KNOWN).other == "b"
    assert pair_of(given, manifest, KNOWN).other == "a"


def test_a_label_that_is_not_established_gives_no_pair(manifest):
    few = distribution_of(np.arange(5.0))
    assert pair_of(result(manifest), manifest, reference(size={"b": few, "c": LOW, "a": LOW})) is None
    other = pair_of(result(manifest), manifest, reference(size={"b": HIGH, "c": few, "a": LOW})).other
    assert other == "a"


@given(st.floats(-4, 6))
def test_the_ratio_turns_its_sign_with_the_labels_and_is_bounded(value):
    ratio = log_ratio(HIGH, LOW, value)
    assert ratio == pytest.approx(-log_ratio(LOW, HIGH, value), abs=1e-9)
    assert abs(ratio) < math.log(500)


def test_the_ratio_follows_the_densities_and_shrinks_with_few_cases():
    assert log_ratio(HIGH, LOW, 3.0) > CLEAR > log_ratio(HIGH, LOW, 1.0) > -CLEAR > log_ratio(HIGH, LOW, -1.0)
    assert abs(log_ratio(bell(2, 30), bell(0, 30), 3.0)) < abs(log_ratio(HIGH, LOW, 3.0))


def test_ties_are_taken_together():
    mostly_zero, spread = distribution_of(np.r_[np.zeros(95), np.arange(1.0, 6)]), distribution_of(np.arange(100.0))
    assert log_ratio(mostly_zero, spread, 0.0) > CLEAR
    assert log_ratio(mostly_zero, spread, 50.0) < -CLEAR

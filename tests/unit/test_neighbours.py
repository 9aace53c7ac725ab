"""Similar cases: the nearest of the labels that matter, checked against brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whycad.errors import PredictionError
from whycad.neighbours import (
    SAME_IMAGE,
    Reference,
    embed,
    find_similar,
    is_same_image,
    nearest_distances,
    nearest_of_label,
    percentile_within,
)
from whycad.types import Decision, DecisionKind, Prediction, Uncertainty

LABELS = ("a", "b", "c", "d")


def make_reference(n: int = 60, seed: int = 0, n_groups: int = 30) -> Reference:
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(24, 24)))[0][:, :10].astype(np.float32)
    mean = rng.normal(size=24).astype(np.float32) * 0.01
    features = rng.normal(size=(2, n, 12))
    vectors = embed(features, mean, basis)
    label_of, groups = rng.integers(0, 4, n), rng.integers(0, n_groups, n)
    return Reference(
        task="t",
        weights_sha256="0" * 64,
        labels=LABELS,
        must_not_miss=("c", "d"),
        vectors=vectors,
        label_of=label_of,
        groups=groups,
        mean=mean,
        basis=basis,
        nearest=nearest_distances(vectors, label_of, groups, LABELS),
    )


def make_prediction(probabilities: tuple[float, ...], conformal_set: tuple[str, ...] = ()) -> Prediction:
    p = np.array(probabilities, np.float32)
    return Prediction(
        LABELS, p, p[None], LABELS[int(p.argmax())], conformal_set, 0.9, p, Uncertainty(0, 0, 0), None,
        Decision(DecisionKind.REPORT),
    )  # fmt: skip


def brute_force(reference: Reference, query: np.ndarray, label: str, count: int) -> list[tuple[int, float]]:
    found: dict[int, tuple[int, float]] = {}
    rows = reference.rows_of(label)
    for row in sorted(rows, key=lambda r: 1 - float(reference.vectors[r] @ query)):
        found.setdefault(int(reference.groups[row]), (int(row), 1 - float(reference.vectors[row] @ query)))
    return list(found.values())[:count]


@given(st.integers(0, 1000), st.integers(1, 4), st.sampled_from(LABELS))
@settings(max_examples=25, deadline=None)
def test_the_nearest_are_those_of_brute_force_and_of_different_groups(seed: int, count: int, label: str) -> None:
    reference = make_reference(seed=seed)
    query = embed(np.random.default_rng(seed + 1).normal(size=(2, 1, 12)), reference.mean, reference.basis)[0]
    found = nearest_of_label(reference, query, label, count)
    wanted = brute_force(reference, query, label, count)
    assert [row for row, _ in found] == [row for row, _ in wanted]
    np.testing.assert_allclose([d for _, d in found], [d for _, d in wanted], atol=1e-5)
    assert len({int(reference.groups[row]) for row, _ in found}) == len(found)


def test_the_labels_that_matter_are_shown() -> None:
    reference, features = make_reference(), np.random.default_rng(5).normal(size=(2, 12))
    roles = {
        (case.label, case.role): sum(c.label == case.label for c in found)
        for found in [find_similar(make_prediction((0.6, 0.3, 0.07, 0.03)), features, reference)]
        for case in found
    }
    assert roles == {("a", "leading"): 2, ("b", "runner_up"): 2, ("c", "must_not_miss"): 2}


def test_a_dangerous_label_in_the_set_is_shown_however_improbable() -> None:
    reference, features = make_reference(), np.random.default_rng(5).normal(size=(2, 12))
    found = find_similar(make_prediction((0.7, 0.29, 0.005, 0.005), ("a", "c", "d")), features, reference)
    assert [case.label for case in found] == ["a", "a", "b", "b", "c", "d"]
    without = find_similar(make_prediction((0.7, 0.29, 0.005, 0.005), ("a",)), features, reference)
    assert [case.label for case in without] == ["a", "a", "b", "b"]


def test_the_image_itself_is_recognised_and_another_is_not() -> None:
    reference = make_reference()
    features = np.random.default_rng(0)
    features.normal(size=(24, 24)), features.normal(size=24)
    row_features = features.normal(size=(2, 60, 12))[:, 7]
    label = LABELS[reference.label_of[7]]
    p = tuple(0.9 if code == label else 0.1 / 3 for code in LABELS)
    found = find_similar(make_prediction(p), row_features, reference)
    assert found[0].reference == reference.name(7)
    assert is_same_image(found[0])
    assert not is_same_image(found[1])
    assert not is_same_image(replace(found[0], distance=2 * SAME_IMAGE))


def test_percentiles_grow_with_distance_and_leave_the_own_group_out() -> None:
    vectors = np.array([[1, 0], [1, 0], [0.6, 0.8]], np.float32)
    nearest = nearest_distances(vectors, np.zeros(3, int), np.array([0, 0, 1]), ("a", "b"))
    np.testing.assert_allclose(nearest["a"], [0.4, 0.4, 0.4], atol=1e-6)
    assert nearest["b"].size == 0
    assert percentile_within(nearest["a"], 0.1) == 0
    assert percentile_within(nearest["a"], 0.5) == 100
    assert np.isnan(percentile_within(nearest["b"], 0.5))


def test_features_of_another_size_are_refused() -> None:
    reference = make_reference()
    with pytest.raises(PredictionError, match="10 features"):
        find_similar(make_prediction((0.6, 0.3, 0.07, 0.03)), np.zeros((2, 5)), reference)

"""Which files make one case: answers worked out by hand, whatever the order of the files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whycad.errors import CorruptImageError
from whycad.imaging.deidentify import keyed_hash
from whycad.imaging.grouping import Group, Member, group_images
from whycad.imaging.remarks import Remark
from whycad.imaging.survey import VARIANTS, ImageFacts

PLAIN = ImageFacts(
    series="s",
    instance="",
    person="p",
    frame="f",
    modality="CT",
    rows=8,
    columns=9,
    is_slice=True,
    localizer=False,
    spacing_mm=(0.7, 0.7),
    orientation=(1, 0, 0, 0, 1, 0),
    position_mm=(0, 0, 0),
    variants=("",) * len(VARIANTS),
)


def members(*changes: dict[str, Any], container: int = -1) -> list[Member]:
    """One member per change; ``z`` and ``sha`` are short for the place and the hash."""
    found = []
    for file, change in enumerate(changes):
        facts = {k: v for k, v in change.items() if k not in ("z", "sha", "container", "variant")}
        facts.setdefault("position_mm", (0, 0, change.get("z", file)))
        facts.setdefault("instance", f"i{file}")
        if "variant" in change:
            index, value = change["variant"]
            facts["variants"] = tuple(value if i == index else "" for i in range(len(VARIANTS)))
        sha = change.get("sha", keyed_hash(b"k", "sha", str(file)))
        found.append(Member(file, change.get("container", container), sha, replace(PLAIN, **facts)))
    return found


def shape_of(groups: list[Group]) -> list[tuple[tuple[int, ...], int]]:
    """Files and number of slices read, per group."""
    return [(group.files, len(group.used)) for group in groups]


def test_slices_of_one_series_are_one_volume_and_other_images_are_alone() -> None:
    groups = group_images(members({"z": 2}, {"is_slice": False, "series": "t"}, {"z": 0}, {"z": 1}))
    assert shape_of(groups) == [((0, 2, 3), 3), ((1,), 1)]
    assert all(not group.remarks and group.error is None for group in groups)


def test_series_and_images_without_one_stay_apart() -> None:
    apart = members({"series": "a"}, {"series": "b"}, {"series": "", "is_slice": False})
    assert shape_of(group_images(apart)) == [((0,), 1), ((1,), 1), ((2,), 1)]


@pytest.mark.parametrize("person", ["q", ""], ids=["another", "nobody"])
@pytest.mark.parametrize("is_slice", [True, False])
def test_two_patients_in_one_series_are_an_error(person: str, is_slice: bool) -> None:
    groups = group_images(members({}, {}, {"person": person, "is_slice": is_slice}, {"series": "t"}))
    assert shape_of(groups) == [((0, 1, 2), 3), ((3,), 1)]
    assert isinstance(groups[0].error, CorruptImageError)
    assert "more than one patient" in groups[0].error.message
    assert groups[1].error is None


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 16},
        {"columns": 16},
        {"modality": "MR"},
        {"frame": "g"},
        {"spacing_mm": (0.7, 0.75)},
        {"spacing_mm": None},
        {"orientation": (1, 0, 0, 0, 0.8, -0.6)},
    ],
    ids=str,
)
def test_images_of_another_kind_in_one_series_stay_apart(change: dict[str, Any]) -> None:
    groups = group_images(members({}, change, {}, change))
    assert shape_of(groups) == [((0, 2), 2), ((1, 3), 2)]
    assert all(group.remarks == {Remark.MIXED_SERIES} for group in groups)


def test_directions_that_differ_by_rounding_are_one() -> None:
    rounded = {"orientation": (0.9996, 0.0004, 0, 0, 1, 0), "spacing_mm": (0.7001, 0.7)}
    assert shape_of(group_images(members({}, rounded, {}, rounded))) == [((0, 1, 2, 3), 4)]


@pytest.mark.parametrize("missing", ["position_mm", "orientation"])
def test_slices_without_a_place_make_the_series_an_error(missing: str) -> None:
    groups = group_images(members({}, {}, {missing: None}))
    assert shape_of(groups) == [((0, 1, 2), 3)]
    assert groups[0].error is not None
    assert "where they lie" in groups[0].error.message
    alone = group_images(members({missing: None}))
    assert shape_of(alone) == [((0,), 1)]
    assert alone[0].error is None


def test_a_localizer_is_left_apart_and_said_to_be_one() -> None:
    groups = group_images(members({}, {}, {"is_slice": False, "localizer": True, "position_mm": None}))
    assert shape_of(groups) == [((0, 1), 2), ((2,), 1)]
    assert [group.remarks for group in groups] == [set(), {Remark.LOCALIZER}]


def test_a_copy_is_used_once() -> None:
    groups = group_images(members({"z": 0, "sha": "a"}, {"z": 1}, {"z": 0, "sha": "a"}))
    assert shape_of(groups) == [((0, 1, 2), 2)]
    assert groups[0].remarks == {Remark.DUPLICATE_SLICE}


def test_the_same_identifier_with_other_bytes_is_said_and_nothing_is_lost() -> None:
    groups = group_images(members({}, {}, {}, {"z": 1, "instance": "i1"}))
    assert sorted(shape_of(groups), key=str) == [((0, 1, 2), 3), ((3,), 1)] or shape_of(groups) == [
        ((0, 2, 3), 3),
        ((1,), 1),
    ]
    assert all(group.remarks == {Remark.CONFLICTING_SLICE, Remark.SAME_UID} for group in groups)
    pictures = group_images(members(*[{"is_slice": False, "instance": "i"}] * 2))
    assert [group.remarks for group in pictures] == [{Remark.SAME_UID}] * 2


def test_images_at_one_place_only_are_single_images() -> None:
    groups = group_images(members({"z": 5}, {"z": 5}))
    assert shape_of(groups) == [((0,), 1), ((1,), 1)]
    assert all(group.remarks == {Remark.CONFLICTING_SLICE} for group in groups)


def test_versions_mixed_up_are_an_error() -> None:
    groups = group_images(members(*[{"z": k // 2} for k in range(8)]))
    assert shape_of(groups) == [(tuple(range(8)), 8)]
    assert groups[0].error is not None
    assert "several versions of 4 of its 4 slices" in groups[0].error.message


@pytest.mark.parametrize("trait", range(len(VARIANTS)), ids=[words[0] for words in VARIANTS])
def test_echoes_phases_and_reconstructions_become_volumes_of_their_own(trait: int) -> None:
    changes = [{"z": k % 4, "variant": (trait, f"v{k // 4}")} for k in range(12)]
    groups = group_images(members(*changes))
    assert shape_of(groups) == [(tuple(range(4 * v, 4 * v + 4)), 4) for v in range(3)]
    assert all(group.remarks == {Remark.MIXED_SERIES} for group in groups)


def test_versions_that_came_in_folders_of_their_own_are_told_by_that() -> None:
    versions = members(*[{"z": k % 4, "container": k // 4, "instance": f"i{k % 4}"} for k in range(8)])
    groups = group_images(versions)
    assert shape_of(groups) == [((0, 1, 2, 3), 4), ((4, 5, 6, 7), 4)]
    assert all(group.remarks == {Remark.MIXED_SERIES, Remark.SAME_UID} for group in groups)


def test_what_differs_in_every_slice_splits_nothing() -> None:
    changes = [{"z": min(k, 4), "variant": (5, f"v{k}")} for k in range(6)]
    assert [len(group.used) for group in group_images(members(*changes))] in ([5, 1], [1, 5])


def outline(groups: list[Group]) -> set[tuple[Any, ...]]:
    """What was grouped, without the numbers of the files."""
    return {
        (
            frozenset((m.sha256, m.facts.position_mm) for m in group.used),
            len(group.others),
            frozenset(group.remarks),
            str(group.error),
        )
        for group in groups
    }


changes = st.lists(
    st.fixed_dictionaries(
        {"z": st.integers(0, 6), "sha": st.sampled_from([f"h{i}" for i in range(12)])},
        optional={
            "series": st.sampled_from(["s", "t"]),
            "rows": st.sampled_from([8, 16]),
            "instance": st.sampled_from(["i", "j"]),
            "variant": st.tuples(st.integers(0, 3), st.sampled_from("uv")),
            "is_slice": st.booleans(),
            "orientation": st.sampled_from([(1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1)]),
        },
    ),
    min_size=1,
    max_size=14,
    unique_by=lambda change: change["sha"],
)


@settings(max_examples=150, deadline=None)
@given(changes, st.integers(0, 99))
def test_the_order_of_the_files_does_not_matter_and_none_is_lost(found: list[dict[str, Any]], seed: int) -> None:
    one = members(*found)
    order = np.random.default_rng(seed).permutation(len(one))
    other = [replace(one[k], file=place) for place, k in enumerate(order)]
    groups = group_images(one)
    assert outline(groups) == outline(group_images(other))
    assert sorted(file for group in groups for file in group.files) == list(range(len(one)))


def test_a_series_of_too_many_kinds_is_an_error_and_costs_little() -> None:
    kinds = members(*[{"rows": 8 + k} for k in range(70)])
    assert "more than 64 different" in str(group_images(kinds)[0].error)
    turning = [{"orientation": (np.cos(a), np.sin(a), 0, 0, 0, -1)} for a in np.linspace(0, 3, 2000)]
    assert shape_of(group_images(members(*turning))) == [(tuple(range(2000)), 2000)]

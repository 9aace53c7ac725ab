"""The jobs behind the checks: picklable, one record per row, errors and absences in their places."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from whycad.audit.changes.change import Change
from whycad.audit.changes.fragile import FragilityJob
from whycad.audit.run.changed import ABSENT, BY_SLICES, ChangedJob, changed_from
from whycad.audit.run.chunk_files import TRIED_AGAIN
from whycad.audit.run.engine import EngineOptions, map_batches
from whycad.audit.run.found import FoundJob, artefacts_found
from whycad.audit.run.grades import GradeJob
from whycad.audit.run.maps import MapJob, maps_from
from whycad.audit.run.predicting import PredictJob
from whycad.errors import DatasetError, DecodeLimitError

CHANGES = (Change("insert", "white_corner"), Change("remove", "white_corner"), Change("corrupt", "noise", 2))


@pytest.mark.parametrize(
    "job",
    [lambda ref: ChangedJob(ref, CHANGES), FoundJob, lambda ref: MapJob(ref, "ig"), lambda r: GradeJob(r, ("ig",))],
)
def test_jobs_travel_to_other_processes_and_are_known_by_their_digest(honest, cheat, job):
    made = job(honest.ref)
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    assert again.digest == made.digest
    assert made.digest != job(cheat.ref).digest or isinstance(made, FoundJob)


def test_what_is_done_to_the_images_is_part_of_the_digest(honest):
    digests = {ChangedJob(honest.ref, changes, seed).digest for changes in (CHANGES, CHANGES[:2]) for seed in (0, 1)}
    assert len(digests) == 4


def test_answers_stand_in_the_order_of_rows_and_changes(honest):
    table = ChangedJob(honest.ref, CHANGES, device="cpu").open()([4, 7])
    found = changed_from(table, np.array([4, 7]), CHANGES, honest.answers.codes)
    alone = changed_from(
        ChangedJob(honest.ref, CHANGES[2:], device="cpu").open()([7]), np.array([7]), CHANGES[2:], honest.answers.codes
    )
    assert found.probabilities.shape == (2, 3, 2)
    assert found.probabilities[1, 2] == pytest.approx(alone.probabilities[0, 0], abs=1e-6)
    assert np.nansum(found.probabilities, axis=2)[found.predicted >= 0] == pytest.approx(1, abs=1e-5)
    gone = found.why[:, found.of(CHANGES[1])] == ABSENT
    assert np.isnan(found.share[gone, 1]).all()
    assert (found.decision[gone, 1] == "failed").all()
    assert not found.why[:, 0].any()


def test_a_row_that_cannot_be_read_has_its_reason_and_the_others_their_answers(honest, monkeypatch):
    dataset = honest.dataset
    case = type(dataset).case

    def broken(self, row):
        if row == 5:
            raise DatasetError("row 5 is broken")
        return case(self, row)

    monkeypatch.setattr(type(dataset), "case", broken)
    table = ChangedJob(honest.ref, CHANGES, device="cpu").open()([5, 6])
    found = changed_from(table, np.array([5, 6]), CHANGES, honest.answers.codes)
    assert set(found.why[0]) == {"row 5 is broken"}
    assert found.predicted[1, 0] >= 0
    maps = maps_from(MapJob(honest.ref, "ig", "cpu").open()([5, 6]), np.array([5, 6]))
    assert np.isnan(maps.maps[0]).all()


@pytest.mark.parametrize(
    "job",
    [
        lambda ref: PredictJob(ref, "cpu"),
        lambda ref: ChangedJob(ref, CHANGES, device="cpu"),
        FoundJob,
        lambda ref: MapJob(ref, "ig", "cpu"),
        lambda ref: GradeJob(ref, ("ig",), "cpu"),
        lambda ref: FragilityJob(ref, "cpu"),
    ],
)
@pytest.mark.parametrize("error", [DecodeLimitError("the child was killed"), OSError("the disk is away")])
def test_a_row_whose_image_could_not_be_read_for_once_is_read_by_the_next_run(
    honest, monkeypatch, tmp_path, job, error
):
    case, failing = type(honest.dataset).case, [error]

    def read(self, row):
        if failing:
            raise failing.pop()
        return case(self, row)

    monkeypatch.setattr(type(honest.dataset), "case", read)
    made = job(honest.ref)

    def why():
        table = map_batches(made, [3], EngineOptions(tmp_path)).read()
        return set(np.ravel(table["why" if "why" in table.column_names else "error"].to_pylist()))

    assert all(text.endswith(TRIED_AGAIN) for text in why())
    assert not any(text.endswith(TRIED_AGAIN) for text in why())


def test_an_outline_that_could_not_be_read_for_once_is_no_missing_one(honest, monkeypatch):
    calls = []

    def mask(self, row):
        calls.append(row)
        raise DecodeLimitError("the child was killed")

    monkeypatch.setattr(type(honest.dataset), "mask", mask)
    parts = (Change("keep", "background"), Change("keep", "finding"), Change("keep", "border"))
    table = ChangedJob(honest.ref, parts, device="cpu").open()([4])
    assert table["why"].to_pylist()[0] == [f"the child was killed{TRIED_AGAIN}"] * 2 + [""]
    assert calls == [4]


def test_a_volume_that_is_read_slice_by_slice_is_left_alone(honest, monkeypatch):
    monkeypatch.setattr("whycad.volume.is_read_by_slices", lambda *_: True)
    found = changed_from(
        ChangedJob(honest.ref, CHANGES, device="cpu").open()([0]), np.array([0]), CHANGES, honest.answers.codes
    )
    assert set(found.why[0]) == {BY_SLICES}


def test_artefacts_are_searched_once_and_are_where_they_were_planted(honest):
    found = artefacts_found(honest)
    assert found is artefacts_found(honest)
    planted = [
        bool((honest.dataset.picture(row)[0, 0] == 255) & (honest.dataset.picture(row)[-1, -1] == 255))
        for row in range(len(honest.cases))
    ]
    assert found.of("white_corner").tolist() == planted
    assert found.searched.all()

"""Wrong labels, broken, empty and odd pictures are found; a weak judge's doubts are not passed on."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from whycad.audit.checks import load_check
from whycad.audit.checks.label_issue import Judge, expected_share, label_issues, label_severity
from whycad.audit.context import ModelAnswers
from whycad.audit.findings import Severity
from whycad.audit.trivial import Sample
from whycad.manifest import Audit


def test_labels_that_were_swapped_are_doubted_where_the_labels_can_be_told(pack, textures):
    pictures = np.concatenate([textures(100, seed=1, level=90), textures(100, seed=2, level=170)])
    label = np.repeat(["a", "b"], 100)
    wrong = [5, 50, 120, 150, 160, 20, 30, 180, 190, 70]
    label[wrong] = np.where(label[wrong] == "a", "b", "a")
    result = pack(images=pictures, label=label).result("label_issue")
    (found,) = result.findings
    assert found.severity in (Severity.WARNING, Severity.OK)
    assert set(found.cases) == {f"row-{row}" for row in wrong}
    assert found.effect is not None
    assert abs(found.effect - 0.05) < 0.01
    assert len(result.tables[0].rows) == len(wrong)


def test_a_judge_who_cannot_tell_the_labels_is_not_believed(pack, textures):
    label = np.where(np.random.default_rng(0).random(200) < 0.5, "a", "b")
    (found,) = pack(images=textures(200), label=label).result("label_issue").findings
    assert found.severity is Severity.UNKNOWN
    assert "too poorly" in found.message


@pytest.mark.parametrize(("wrong", "severity"), [(0.0, Severity.OK), (0.3, Severity.CRITICAL)])
def test_right_labels_of_classes_that_overlap_are_not_accused(wrong, severity):
    rng = np.random.default_rng(0)
    p = rng.dirichlet([0.25, 0.25, 0.25], 1500)
    target = np.array([rng.choice(3, p=row) for row in p])
    spoiled = rng.random(1500) < wrong
    target[spoiled] = (target[spoiled] + 1) % 3
    rows = np.arange(1500)
    judge = Judge("the task", Sample(rows, ("a", "b", "c"), target, rows.astype(str)), p)
    mean, spread = expected_share(judge, 0)
    share = len(label_issues(target, p)) / 1500
    assert mean > 0.04
    assert label_severity(share - mean - 2 * spread) is severity


def test_the_most_doubtful_label_comes_first():
    target = np.repeat([0, 1], 50)
    p = np.where(target == 0, 0.9, 0.1)
    p[3], p[60] = 0.03, 0.99
    assert label_issues(target, np.stack([p, 1 - p], axis=1)).tolist() == [60, 3]


def test_broken_empty_and_strange_pictures_are_named(pack, textures):
    pictures = textures(100).astype(np.float64)
    pictures[7] = 128
    pictures[11] = np.random.default_rng(0).choice([0, 255], (32, 32))
    result = pack(images=pictures.astype(np.uint8)).result("outlier")
    found = {finding.column: finding for finding in result.findings}
    assert found["empty"].cases == ("row-7",)
    assert found["strange"].cases[0] == "row-11"
    assert found["unreadable"].severity is Severity.OK
    assert result.tables[0].rows[0][0] == "row-11"


def test_grey_pictures_among_coloured_ones_are_mixed_acquisition(pack, textures):
    colour = np.random.default_rng(0).integers(0, 255, (60, 32, 32, 3), dtype=np.uint8)
    colour[10:15] = textures(5)[..., None]
    (found,) = pack(images=colour).about("outlier", "colour or grey")
    assert found.severity is Severity.WARNING
    assert found.n_cases == 5


def test_unreadable_pictures_are_counted_and_left_out(pack, textures):
    offsets = np.arange(42) * 3
    audited = pack(jpeg=np.zeros(200, np.uint8), jpeg_offsets=offsets, label=np.array(["a", "b"] * 20 + ["a"]))
    (found,) = audited.about("outlier", "unreadable")
    assert found.severity is Severity.CRITICAL
    assert found.n_cases == 41


def test_three_images_establish_nothing_and_break_nothing(pack, textures):
    audited = pack(images=textures(3), label=np.array(["a", "b", "a"]), age=np.array([1.0, 2.5, 3.0]))
    assert audited.worst("outlier") is Severity.UNKNOWN
    assert audited.worst("metadata_label") is Severity.UNKNOWN
    assert audited.worst("near_duplicate") is Severity.OK
    assert audited.worst("missing_metadata") is Severity.OK


def test_images_without_a_label_and_sets_with_one_label_are_told(pack, textures):
    label = np.array(["a", "b"])[np.arange(60) % 2]
    some = pack(images=textures(60), label=np.where(np.arange(60) < 20, "", label), age=np.arange(60.0))
    (told,) = some.about("missing_metadata", "label")
    assert told.severity is Severity.WARNING
    assert told.message.startswith("20 of 60 images have no label")
    assert told.n_cases == 20
    one = pack(images=textures(60), label=np.repeat("a", 60)).about("missing_metadata", "label")
    assert [found.severity for found in one] == [Severity.UNKNOWN]
    assert "have the same (a)" in one[0].message
    none = pack(images=textures(60), label=np.repeat("", 60)).about("missing_metadata", "label")
    assert [found.severity for found in none] == [Severity.WARNING, Severity.UNKNOWN]


def test_the_audited_task_is_the_judge_where_there_is_one(pack, textures):
    n = 80
    label = np.arange(n) % 2
    p = np.where(label == 1, 0.95, 0.05)
    p[[4, 9]] = 1 - p[[4, 9]]
    context = pack(images=textures(n), label=np.array(["a", "b"])[label]).context
    answers = ModelAnswers(
        codes=("a", "b"),
        members=np.stack([1 - p, p], axis=1)[None],
        predicted=(p > 0.5).astype(np.int64),
        label=label,
        decision=np.full(n, "report"),
        conformal_p=np.ones((n, 2)),
        gate=np.zeros(n),
        parts=np.zeros((3, n)),
        error=np.full(n, ""),
        simulated=False,
    )
    audited = replace(context, plugin=SimpleNamespace(manifest=SimpleNamespace(audit=Audit(), label_codes=())))
    vars(audited)["answers"] = answers
    (found,) = load_check("label_issue").run(audited).findings
    assert set(found.cases) == {"row-4", "row-9"}
    assert "The task" in found.message

"""What is planted in metadata is found with its sign and size; what is not, is not claimed."""

from __future__ import annotations

import numpy as np
import pytest

from whycad.audit.association import odds_of_area
from whycad.audit.checks import CheckSkippedError
from whycad.audit.findings import Severity

N = 400


@pytest.fixture
def ill():
    return np.random.default_rng(0).random(N) < 0.4


def columns(ill, seed=3):
    generator = np.random.default_rng(seed)
    ruler = np.where(ill, generator.random(N) < 0.6, generator.random(N) < 0.2)
    return {
        "artefacts": np.stack([ruler, generator.random(N) < 0.3], axis=1).astype(np.int8),
        "artefact_names": np.array(["ruler", "ink"]),
        "age": (50 + 15 * ill + generator.normal(0, 12, N)).astype(np.float32),
        "weight": generator.normal(70, 9, N).astype(np.float32),
    }


def test_planted_columns_are_found_with_their_sign_and_the_others_are_summed_up(pack, textures, ill):
    audited = pack(images=textures(N), label=np.where(ill, "ill", "well"), **columns(ill))
    result = audited.result("metadata_label")
    (ruler,) = audited.about("metadata_label", "ruler")
    assert ruler.label == "ill"
    assert ruler.effect is not None
    assert ruler.effect > 3
    assert ruler.ci_low is not None
    assert ruler.ci_low > 1
    assert "commoner in images with ruler" in ruler.message
    assert ruler.level == "yes"
    has, sick = audited.context.cases.column("ruler").values == "yes", audited.context.cases.labels == "ill"
    assert ruler.share_ratio == pytest.approx(sick[has].mean() / sick[~has].mean(), rel=0.02)
    assert ruler.n_cases == int(audited.context.cases.column("ruler").values.tolist().count("yes"))
    (age,) = audited.about("metadata_label", "age")
    assert age.effect_name == "AUC"
    assert (age.level, age.share_ratio) == ("", None)
    assert age.ci_low is not None
    assert age.ci_low > 0.7
    assert {finding.column for finding in result.findings} == {"ruler", "age", ""}
    (rest,) = (finding for finding in result.findings if finding.column == "")
    assert rest.severity is Severity.OK
    assert "ink" in rest.message
    assert "weight" in rest.message
    assert [table.key for table in result.tables] == ["levels", "numbers", "overall"]


def about_patches(pack, pictures, ill, patches):
    audited = pack(
        images=pictures,
        label=np.where(ill, "ill", "well"),
        artefacts=patches[:, None].astype(np.int8),
        artefact_names=np.array(["patch"]),
    )
    return audited.about("metadata_label", "patch")


def test_a_rarer_label_is_called_rarer(pack, textures, ill):
    patches = np.where(ill, np.random.default_rng(3).random(N) < 0.05, np.random.default_rng(4).random(N) < 0.5)
    (found,) = about_patches(pack, textures(N), ill, patches)
    assert found.severity is Severity.CRITICAL
    assert found.ci_high is not None
    assert found.ci_high < 1
    assert "rarer" in found.message
    assert found.share_ratio is not None
    assert found.share_ratio < 1


def test_never_is_said_as_such_and_has_no_ratio_of_shares(pack, textures, ill):
    patches = ~ill & (np.random.default_rng(4).random(N) < 0.5)
    (found,) = about_patches(pack, textures(N), ill, patches)
    assert found.message.startswith("No image with patch is ill")
    assert found.share_ratio is None


def test_another_form_of_the_label_is_called_so(pack, textures, ill):
    score = ill + np.random.default_rng(5).normal(0, 0.2, N)
    (found,) = pack(images=textures(N), label=np.where(ill, "ill", "well"), score=score).about(
        "metadata_label", "score"
    )
    assert found.severity is Severity.CRITICAL
    assert "another form of the label" in found.message


def test_nothing_is_claimed_of_few_images_or_few_groups(pack, textures):
    label = np.array(["a", "b"] * 10)
    few = pack(images=textures(20), label=label, age=np.linspace(0, 1, 20) + (label == "b"))
    assert few.worst("metadata_label") is Severity.UNKNOWN
    label = np.repeat(["a", "b"], 100)
    groups = np.repeat(["p1", "p2", "p3", "p4"], 50)
    grouped = pack(images=textures(200), label=label, patient=groups, age=np.linspace(0, 1, 200) + (label == "b"))
    assert grouped.worst("metadata_label") is Severity.UNKNOWN


def test_false_alarms_are_rare(pack, textures):
    alarms = 0
    pictures = textures(200)
    for seed in range(12):
        generator = np.random.default_rng(seed)
        noise = {f"c{i}": generator.integers(0, 2, 200).astype(np.int8) for i in range(6)}
        label = np.where(generator.random(200) < 0.5, "a", "b")
        alarms += pack(images=pictures, label=label, **noise).worst("metadata_label") is not Severity.OK
    assert alarms <= 2


def test_white_corners_are_reported_and_flagged_only_where_they_go_with_the_label(pack, textures, ill):
    def with_corners(white):
        pictures = textures(N).copy()
        pictures[white, :6, :6] = 255
        return pack(images=pictures, label=np.where(ill, "ill", "well")).about(
            "metadata_label", "white_corner_in_image"
        )

    (found,) = with_corners(np.random.default_rng(17).random(N) < 0.3)
    assert found.severity is Severity.OK
    assert "present in" in found.message
    assert "not established" in found.message
    (found,) = with_corners(np.where(ill, np.random.default_rng(8).random(N) < 0.5, False))
    assert found.severity is Severity.CRITICAL
    assert "All images with white corner are ill" in found.message


def test_one_label_alone_is_skipped(pack, textures):
    with pytest.raises(CheckSkippedError, match="two labels"):
        pack(images=textures(40), label=np.array(["a"] * 40), age=np.arange(40.0)).result("metadata_label")


def test_what_is_missing_more_for_one_label_is_found_once_for_columns_that_are_missing_together(pack, textures, ill):
    age = np.where(ill & (np.random.default_rng(9).random(N) < 0.5), np.nan, 50.0) + np.arange(N) / N
    result = pack(
        images=textures(N), label=np.where(ill, "ill", "well"), age=age, height=age + 100, weight=np.arange(N) * 1.5
    ).result("missing_metadata")
    assert [finding.severity for finding in result.findings] == [Severity.WARNING, Severity.OK]
    assert "age and height" in result.findings[0].message
    assert "weight" in result.findings[1].message


def test_missing_at_random_is_said_only_where_it_is_much(pack, textures, ill):
    generator = np.random.default_rng(10)
    arrays = {
        name: np.where(generator.random(N) < share, np.nan, np.arange(N) * 1.5)
        for name, share in (("a", 0.1), ("b", 0.5))
    }
    result = pack(images=textures(N), label=np.where(ill, "ill", "well"), **arrays).result("missing_metadata")
    assert [(finding.column, finding.severity) for finding in result.findings] == [
        ("b", Severity.WARNING),
        ("", Severity.OK),
    ]


def test_areas_and_odds_are_on_one_scale():
    assert odds_of_area(0.5) == pytest.approx(1)
    # Cohen's d of 0.8 is an area of 0.714 and an odds ratio of 4.27 (Chinn 2000).
    assert odds_of_area(0.714) == pytest.approx(4.27, rel=0.01)

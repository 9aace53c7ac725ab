"""What is known to be wrong with public sets is found in them, with the right sign."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from whycad.audit.association import associations
from whycad.audit.bootstrap import GroupBootstrap
from whycad.audit.checks.label_by_source import levels_alone
from whycad.audit.data.cases import MetadataColumn
from whycad.audit.data.dataset import DatasetRef
from whycad.audit.data.facts import DETAIL, white_corner
from whycad.audit.duplicates import near_pairs

pytestmark = pytest.mark.data
LEAST_N = 30


def opened(path):
    return DatasetRef(path).open()


def found_in(cases, columns):
    return associations(cases, columns, GroupBootstrap(cases.groups, 200), LEAST_N)


def grey(picture):
    return picture.astype(float).mean(axis=-1) / 255 if picture.ndim == 3 else picture / 255


def test_isic_2017_melanoma_is_rarer_or_commoner_with_each_artefact_as_is_known(data_dir):
    cases = opened(data_dir / "skin" / "isic2017.npz").cases
    found = found_in(cases, cases.columns)
    melanoma = {pair.column.name: pair for pair in found.pairs if pair.label == "melanoma" and pair.ratio is not None}
    for name in ("patches", "gel_border", "ink", "hair"):
        assert melanoma[name].p < 0.05
        assert melanoma[name].ratio.high < 1
    for name in ("ruler", "dark_corner"):
        assert melanoma[name].p < 0.05
        assert melanoma[name].ratio.low > 1
    assert 10 < melanoma["patches"].ratio.size < 25


def test_isic_2017_known_near_duplicates_are_found_and_hardly_any_others(data_dir):
    data = opened(data_dir / "skin" / "isic2017.npz")
    rows = {str(name): row for row, name in enumerate(data.cases.ids)}
    with (data_dir / "skin" / "isic2017_near_duplicates.csv").open() as stream:
        listed = [(row["image_a"], row["image_b"]) for row in csv.DictReader(stream)]
    known = {frozenset(rows[name] for name in pair) for pair in listed if all(name in rows for name in pair)}
    assert len(known) == 18
    used = sorted({row for pair in known for row in pair} | set(range(0, len(rows), 12)))
    pictures = [
        Image.fromarray(data.picture(row)).convert("L").resize((DETAIL, DETAIL), Image.Resampling.BOX) for row in used
    ]
    pairs = near_pairs(np.stack([np.asarray(picture) for picture in pictures]))
    found = {frozenset((used[pair.first], used[pair.second])) for pair in pairs}
    assert len(known & found) >= 16
    assert len(found - known) <= 1
    splits = data.cases.splits
    crossing = {pair for pair in known if len({str(splits[row]) for row in pair}) > 1}
    assert len(crossing) == 4
    assert crossing <= found


def test_kermany_512_squares_are_all_normal_and_white_corners_are_even(data_dir):
    data = opened(data_dir / "oct" / "kermany_cnv_normal.npz")
    size = data.cases.column("orig_size")
    assert size is not None
    (level,) = levels_alone(data.cases, size, 1)
    assert (level.value, level.label, level.n) == ("512x512", "NORMAL", 277)
    rows = np.arange(0, len(data.cases), 9)
    some = data.cases.select(rows)

    def tested(plant):
        shares = []
        for row in rows:
            picture = grey(data.picture(int(row)))
            if plant and data.cases.labels[row] == "CNV" and row % 2:
                picture[:40, :40] = 1
            shares.append(white_corner(picture))
        flags = np.where(np.array(shares) >= 0.1, "yes", "no")
        (pair,) = found_in(some, (MetadataColumn("white corner", "category", flags, "artefact"),)).pairs
        return pair

    assert tested(plant=False).p > 0.05
    planted = tested(plant=True)
    assert planted.p < 0.05
    assert (planted.ratio.low > 1) if planted.label == "CNV" else (planted.ratio.high < 1)


def test_lidc_diameter_alone_nearly_tells_the_label(data_dir):
    cases = opened(data_dir / "lung" / "lidc_key_slices.npz").cases
    assert set(cases.labels.tolist()) == {"", "0", "1"}
    column = cases.column("reader_diameter_mm")
    (pair,) = found_in(cases, (column,)).pairs
    assert pair.auc.value == pytest.approx(0.91, abs=0.01)
    assert pair.auc.low > 0.88


def test_ham10000_masks_come_on_the_grid_of_the_picture(data_dir):
    data = opened(data_dir / "skin" / "ham10000.npz")
    masks = {row: data.mask(row) for row in range(0, len(data.cases), 200)}
    drawn = {row: mask for row, mask in masks.items() if mask is not None}
    assert len(drawn) > 30
    darker = 0
    for row, mask in drawn.items():
        picture = grey(data.picture(row))
        assert mask.shape == picture.shape
        darker += picture[mask].mean() < picture[~mask].mean()
    assert darker >= 0.9 * len(drawn)

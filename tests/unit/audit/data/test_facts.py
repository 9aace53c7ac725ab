"""What is read off a picture."""

from __future__ import annotations

import numpy as np
import pytest

from whycad.audit.data.dataset import DatasetRef
from whycad.audit.data.facts import BINS, DETAIL, STATS, THUMB, FactsJob, facts_from, facts_of, white_corner
from whycad.audit.data.files import FileData
from whycad.audit.run.engine import EngineOptions, map_batches
from whycad.errors import CorruptImageError, DecodeLimitError


def stats_of(picture, size=None):
    return dict(zip(STATS, facts_of(picture, size)["stats"], strict=True))


def test_size_light_and_colour_are_measured():
    picture = np.zeros((20, 40, 3), np.uint8)
    picture[..., 0] = 255
    found = stats_of(picture, 123)
    assert (found["height_px"], found["width_px"], found["aspect"], found["file_bytes"]) == (20, 40, 2, 123)
    assert found["mean_red"] == 1
    assert found["mean_green"] == 0
    assert found["colourfulness"] == 1
    assert stats_of(picture[..., 1])["colourfulness"] == 0
    assert np.isnan(stats_of(picture)["file_bytes"])


def test_histograms_are_shares_of_each_channel():
    found = np.array(facts_of(np.full((6, 6), 255, np.uint8), None)["histogram"]).reshape(3, BINS)
    assert found.tolist() == [[0.0] * (BINS - 1) + [1.0]] * 3


def test_thumbnails_and_details_come_back_as_they_were(tmp_path):
    import pyarrow as pa

    picture = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    row = {"error": "", "content": "x"} | facts_of(picture, 1)
    found = facts_from(pa.Table.from_pylist([row, row]))
    assert found.thumb.shape == (2, THUMB, THUMB, 3)
    assert len(row["detail"]) == DETAIL * DETAIL
    assert abs(float(found.thumb.mean()) - float(picture.mean())) < 1
    assert found.histogram.sum() == pytest.approx(6)


@pytest.mark.parametrize("error", [DecodeLimitError("the child was killed"), CorruptImageError("broken for good")])
def test_a_picture_that_could_not_be_read_for_once_is_read_by_the_next_run(draw, tmp_path, monkeypatch, error):
    draw("set/a.png")
    job = FactsJob(DatasetRef(tmp_path / "set"))
    pictures, failing = FileData.pictures, [error]
    monkeypatch.setattr(FileData, "pictures", lambda self, rows: iter(failing) if failing else pictures(self, rows))

    def read():
        return facts_from(map_batches(job, [0], EngineOptions(tmp_path / "cache")).read()).error.tolist()

    before = read()
    assert str(error) in before[0]
    failing.clear()
    assert read() == ([""] if isinstance(error, DecodeLimitError) else before)


def test_a_white_corner_is_seen_inside_black_bars():
    grey = np.full((64, 64), 0.3)
    assert white_corner(grey) == 0
    grey[:8, -8:] = 1
    assert white_corner(grey) == 1
    assert white_corner(np.pad(grey, ((20, 20), (0, 0)))) == 1
    assert white_corner(np.zeros((10, 10))) == 0
    middle = np.full((64, 64), 0.3)
    middle[20:40, 20:40] = 1
    assert white_corner(middle) == 0

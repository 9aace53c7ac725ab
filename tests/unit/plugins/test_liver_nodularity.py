"""Surface nodularity: planted waves are measured in mm, and it follows the simulator's own sign."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from plugins.liver_fibrosis.check_nodularity import FIGURES, N_SLICES, TRIED_MM, main, rank_correlation
from plugins.liver_fibrosis.data import slice_study
from plugins.liver_fibrosis.nodularity import surface_nodularity
from plugins.liver_fibrosis.simulator import simulate


def organ(amplitude, side=160, radius=50.0, waves=26):
    """A bright organ whose edge swings, and the smooth outline that a network would draw."""
    y, x = (np.indices((side, side)) - (side - 1) / 2).astype(float)
    distance = np.hypot(x, y) - radius - amplitude * np.cos(waves * np.arctan2(y, x))
    return np.clip(0.5 - distance, 0, 1).astype(np.float32), np.hypot(x, y) <= radius


def test_a_smooth_edge_has_nearly_none():
    assert surface_nodularity(*organ(0.0), None) < 0.12


def test_deeper_waves_measure_more_and_about_their_size():
    found = [surface_nodularity(*organ(amplitude), None) for amplitude in (0.0, 0.5, 1.0, 1.6)]
    assert found == sorted(found)
    assert found[2] == pytest.approx(1.0 / np.sqrt(2), rel=0.6)


def test_it_is_in_mm_where_a_pixel_has_a_size():
    image, mask = organ(1.0)
    assert surface_nodularity(image, mask, 16 / 6.5) == pytest.approx(16 / 6.5 * surface_nodularity(image, mask, None))


@pytest.mark.parametrize("mask", [np.zeros((40, 40), bool), np.eye(40, dtype=bool)])
def test_without_an_outline_there_is_nothing_to_measure(mask):
    assert surface_nodularity(np.zeros((40, 40), np.float32), mask, 2.0) is None


def test_it_follows_the_simulated_nodularity():
    pairs = []
    for seed in range(24):
        item = simulate((91, seed), seed % 5, "B")
        value = surface_nodularity(slice_study(item).pixels, item.masks["liver"], item.pixel_mm)
        pairs.append((value, item.latents["nodularity_mm"]))
    measured, painted = zip(*pairs, strict=True)
    assert spearmanr(measured, painted).statistic > 0.8


def test_the_rank_correlation_leaves_out_what_could_not_be_measured():
    drawn = np.arange(40.0)
    found = drawn**3
    found[3:6] = np.nan
    answer = rank_correlation(drawn, found)
    assert answer["n"] == 37
    assert [answer["value"], *answer["interval"]] == pytest.approx([1.0] * 3)
    noise = np.random.default_rng(0).normal(size=40)
    answer = rank_correlation(drawn, noise)
    assert answer["value"] == pytest.approx(spearmanr(drawn, noise).statistic)
    assert answer["interval"][0] < 0 < answer["interval"][1]


def test_the_command_writes_a_figure_for_each_smoothing(tmp_path, capsys):
    assert main(["--n", "5", "--out", str(tmp_path / "o.json")]) == 0
    written = json.loads((tmp_path / "o.json").read_text())
    assert list(written["rank_correlation"]) == [f"{mm:g} mm" for mm in TRIED_MM]
    assert len({item["value"] for item in written["rank_correlation"].values()}) > 1


def test_the_notes_say_what_is_stored(repo):
    folder = repo / "plugins" / "liver_fibrosis"
    stored = json.loads((folder / FIGURES).read_text())["rank_correlation"]
    chosen = stored["16 mm"]
    low, high = chosen["interval"]
    notes = (folder / "TRAINING.md").read_text()
    assert chosen["n"] == N_SLICES
    assert f"is {chosen['value']:.2f} (95 % interval {low:.2f} to {high:.2f})" in notes
    values = [f"{item['value']:.2f}" for item in stored.values()]
    assert f"({', '.join(values[:-1])} and {values[-1]})" in notes

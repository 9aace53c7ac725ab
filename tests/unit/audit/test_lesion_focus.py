"""Map focus: maps of known quality get the figures that they deserve."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from whycad import registry
from whycad.audit.lesion_focus import (
    CropOptions,
    FocusCase,
    centred_gaussian,
    enlarged_mask,
    focus_report,
    random_crop,
)
from whycad.cli import main
from whycad.commands.map_focus import cropped_cases
from whycad.errors import DatasetError
from whycad.plugin import Plugin, load_plugin
from whycad.testing.plugins import TinyPlugin, make_calibration, write_manifest, write_plugin
from whycad.testing.tiny_net import TinyNet
from whycad.weights import file_sha256

SHAPE = (60, 80)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    rows, columns = np.indices(shape)
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


def made_cases(kind: str, n: int = 60, seed: int = 0) -> list[FocusCase]:
    rng = np.random.default_rng(seed)
    cases = []
    for i in range(n):
        mask = disc(SHAPE, (rng.uniform(12, 48), rng.uniform(12, 68)), rng.uniform(8, 12))
        values = {
            "lesion": mask * 1.0 + 0.05 * rng.random(SHAPE),
            "middle": centred_gaussian(SHAPE) + 0.0,
            "noise": rng.random(SHAPE),
            "mirrored": (mask[:, ::-1] * 1.0),
            "empty": np.zeros(SHAPE),
            "against": -(mask * 1.0),
        }[kind]
        cases.append(FocusCase(values.astype(np.float32), mask, f"g{i // 2}"))
    return cases


def test_maps_on_the_lesion_pass_every_check():
    report = focus_report(made_cases("lesion"))
    assert report.passes
    assert report.peak_inside.value == 1.0
    assert report.mass_ratio.value > 4
    low, high = report.mass_ratio.interval
    assert low <= report.mass_ratio.value <= high
    assert (report.n_images, report.n_groups, report.n_empty) == (60, 30, 0)
    assert report.controls["swapped"].mass_ratio.interval[1] < 2


@pytest.mark.parametrize("kind", ["middle", "noise", "mirrored", "empty", "against"])
def test_maps_that_ignore_the_lesion_fail(kind):
    report = focus_report(made_cases(kind))
    assert not report.passes
    assert not report.checks["peak inside >= 70%"]
    assert not report.checks["mass ratio beats swapped"]


def test_a_map_that_is_the_gaussian_gains_nothing_over_it():
    gain = focus_report(made_cases("middle")).controls["gaussian"].mass_ratio_gain
    assert (gain.value, gain.interval) == (0.0, (0.0, 0.0))


def test_a_uniform_map_has_ratio_one():
    cases = [FocusCase(np.ones(SHAPE, np.float32), case.mask, case.group) for case in made_cases("noise")]
    assert focus_report(cases).mass_ratio.value == pytest.approx(1.0, abs=1e-5)


def test_empty_maps_are_counted_and_the_seed_decides():
    cases = made_cases("noise")
    assert focus_report(made_cases("empty")).n_empty == 60
    assert focus_report(cases, seed=1) == focus_report(cases, seed=1)
    assert focus_report(cases, seed=1) != focus_report(cases, seed=2)


def test_the_interval_widens_when_images_share_groups():
    cases = made_cases("lesion", n=80)
    noisy = [
        FocusCase(c.map if i // 8 % 2 else np.ones(SHAPE, np.float32), c.mask, f"g{i // 8}")
        for i, c in enumerate(cases)
    ]
    alone = [FocusCase(c.map, c.mask, f"i{i}") for i, c in enumerate(noisy)]
    grouped, single = (focus_report(c).mass_ratio for c in (noisy, alone))
    assert grouped.value == pytest.approx(single.value)
    assert np.ptp(grouped.interval) > 1.5 * np.ptp(single.interval)


def test_maps_of_other_sizes_are_swapped_by_relative_place():
    small = made_cases("lesion", n=20)
    large = [
        FocusCase(np.kron(c.map, np.ones((2, 2), np.float32)), np.kron(c.mask, np.ones((2, 2), bool)), f"L{i}")
        for i, c in enumerate(small)
    ]
    report = focus_report([*small, *large])
    assert report.mass_ratio.value == pytest.approx(focus_report(small).mass_ratio.value, rel=1e-3)


def test_one_group_is_not_enough():
    with pytest.raises(DatasetError, match="at least two"):
        focus_report([FocusCase(np.ones(SHAPE, np.float32), np.ones(SHAPE, bool), "g")] * 3)


@settings(max_examples=50, deadline=None)
@given(st.floats(5, 55), st.floats(5, 75), st.floats(2, 25), st.integers(0, 999))
def test_a_crop_keeps_aspect_and_most_of_the_lesion(row, column, radius, seed):
    mask = disc(SHAPE, (row, column), radius)
    options = CropOptions()
    box = random_crop(mask, np.random.default_rng(seed), options)
    if box is None:
        return
    r0, c0, r1, c1 = box
    assert 0 <= r0 < r1 <= SHAPE[0]
    assert 0 <= c0 < c1 <= SHAPE[1]
    assert (r1 - r0) / (c1 - c0) == pytest.approx(SHAPE[0] / SHAPE[1], rel=0.03)
    inside = mask[r0:r1, c0:c1]
    assert inside.sum() >= 0.75 * mask.sum()
    assert inside.mean() <= 0.4


def test_crops_bring_a_central_lesion_to_many_places():
    mask = disc(SHAPE, (30, 40), 6)
    rng = np.random.default_rng(0)
    places = []
    for _ in range(200):
        r0, c0, r1, c1 = random_crop(mask, rng, CropOptions())
        places.append(((30 - r0) / (r1 - r0), (40 - c0) / (c1 - c0)))
    spread = np.std(places, axis=0)
    assert np.all(spread > 0.2)
    assert np.all(np.abs(np.mean(places, axis=0) - 0.5) < 0.05)


@pytest.mark.parametrize("mask", [np.zeros(SHAPE, bool), np.ones(SHAPE, bool)], ids=["none", "everywhere"])
def test_a_lesion_without_a_place_is_given_up(mask):
    assert random_crop(mask, np.random.default_rng(0), CropOptions()) is None


def test_a_mask_grows_with_its_image():
    mask = disc((30, 40), (10, 30), 6)
    grown = enlarged_mask(mask, (60, 80))
    np.testing.assert_array_equal(grown, np.kron(mask, np.ones((2, 2), bool)))
    assert enlarged_mask(mask, (45, 60)).mean() == pytest.approx(mask.mean(), rel=0.05)


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    rng = np.random.default_rng(0)
    n, masks, images = 24, [], []
    for _ in range(n):
        mask = disc((30, 40), (rng.uniform(10, 20), rng.uniform(12, 28)), 5)
        skin = 0.8 + 0.05 * rng.random((60, 80, 3))
        images.append(np.where(enlarged_mask(mask, (60, 80))[..., None], 0.1, skin))
        masks.append(mask)
    path = tmp_path_factory.mktemp("pack") / "made.npz"
    turned = np.array(masks)
    turned[::2] = ~turned[::2]
    np.savez(
        path,
        turned=turned,
        images=(np.array(images) * 255).astype(np.uint8),
        mask_packed=np.packbits(np.array(masks), axis=2),
        mask=np.array(masks),
        group_id=np.array([f"g{i // 2}" for i in range(n)]),
        split=np.array(["val"] * 20 + ["train"] * 4),
    )
    return path


@pytest.fixture
def run(pack, tmp_path, monkeypatch):
    real = registry.discover

    def run(sees_dark: bool, *more: str, own_cases: str = "") -> tuple[int, dict[str, object]]:
        write_spot_plugin(tmp_path / str(sees_dark), sees_dark, own_cases)
        monkeypatch.setattr(registry, "discover", lambda: real([tmp_path / str(sees_dark)]))
        out = tmp_path / "out.json"
        out.unlink(missing_ok=True)
        source = () if "--data" in more else ("--dataset", str(pack))
        status = main(["map-focus", "--task", "spots", *source, "--json", str(out), *more])
        return status, json.loads(out.read_text()) if out.exists() else {}

    return run


@pytest.mark.parametrize("column", ["mask_packed", "mask"])
def test_a_net_that_sees_dark_spots_passes(run, column, capsys):
    status, report = run(True, "--mask-column", column, "--split", "val", "--n", "12")
    assert status == 0
    assert report["passes"] is True
    assert report["n_images"] == 12
    assert report["peak_inside"]["value"] > 0.9
    assert "pass  mass ratio beats swapped" in capsys.readouterr().out


def test_a_net_that_sees_everything_else_fails(run):
    status, report = run(False, "--mask-column", "mask", "--n", "12")
    assert status == 1
    assert report["mass_ratio"]["value"] < 1


def test_all_rows_of_a_split_are_used_at_most_once(run):
    _, report = run(True, "--mask-column", "mask", "--split", "val")
    assert report["n_images"] + report["n_left_out"] == 20


def test_masks_turned_inside_out_are_left_out(run):
    _, upright = run(True, "--mask-column", "mask")
    _, report = run(True, "--mask-column", "turned")
    assert report["n_left_out"] >= upright["n_left_out"] + 10
    assert report["peak_inside"]["value"] > 0.9


def test_a_mask_that_holds_the_border_is_never_measured_even_where_a_crop_fits(monkeypatch):
    thin = ~np.pad(np.ones((56, 76), bool), 2)
    monkeypatch.setattr("whycad.commands.map_focus.random_crop", lambda *_: (0, 0, 30, 40))
    pack = SimpleNamespace(image=lambda _row: np.zeros((60, 80, 3), np.uint8), group=lambda _row: "g")
    masks = np.stack([thin, ~thin])
    found = list(cropped_cases(pack, masks, np.arange(2), np.random.default_rng(0)))
    assert found[0] is None
    assert found[1] is not None


def test_the_tasks_own_cases_are_used_with_the_masks_that_it_gives(run, tmp_path):
    code = """
from pathlib import Path

import numpy as np

from whycad.masked_cases import MaskedCase
from whycad.types import Study


def cases(data, part, n, seed):
    \"\"\"Yield dark spots; the fourth has no outline.\"\"\"
    assert part == "report"
    rows, columns = np.indices((60, 80))
    for i in range(n):
        mask = (rows - 15 - 3 * i) ** 2 + (columns - 20 - 4 * i) ** 2 < 64
        pixels = np.where(mask, 0.1, 0.85).astype(np.float32)[..., None].repeat(3, -1)
        yield MaskedCase(Study(pixels, "OT", f"{i:064}", "rgb"), f"g{i}", mask=None if i == 3 else mask, of="spot")
"""
    status, report = run(True, "--data", str(tmp_path), "--n", "8", own_cases=code)
    assert status == 0
    assert (report["n_images"], report["n_left_out"]) == (7, 1)
    assert report["dataset"] == "the task's own held-out cases"
    assert report["peak_inside"]["value"] == 1.0


def test_a_task_without_cases_of_its_own_needs_a_pack(run, tmp_path, capsys):
    assert run(True, "--data", str(tmp_path)) == (1, {})
    assert "offers no outlined cases" in capsys.readouterr().err


def test_a_pack_without_such_masks_is_an_error(run, capsys):
    status, report = run(True, "--mask-column", "nothing")
    assert (status, report) == (1, {})
    assert "no column of masks" in capsys.readouterr().err


def write_spot_plugin(parent: Path, sees_dark: bool, own_cases: str = "") -> Plugin:
    """Write a plugin whose one feature is how dark (or bright) a pixel is; label b grows with it."""
    files, code = ({"cases.py": own_cases}, 'masked_cases = "cases:cases"\n') if own_cases else ({}, "")
    spec = TinyPlugin(id="spots", labels=("a", "b"), shape=(48, 64), n_members=1, files=files, code=code)
    folder = write_plugin(parent, spec).folder
    net = TinyNet(3, 2)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.stem[0].weight[0, :, 1, 1] = (-1 if sees_dark else 1) / 3
        net.layer1[0].weight[0, 0, 1, 1] = 1
        net.stem[1].weight.fill_(1)
        net.layer1[1].weight.fill_(1)
        net.head.weight[1, 0] = 1
        net.head.bias[1] = 0.5
    path = folder / "weights" / "member0.safetensors"
    save_file(net.state_dict(), path)
    write_manifest(folder, spec, {"weights/member0.safetensors": file_sha256(path)})
    plugin = load_plugin(folder)
    plugin.calibration_path().write_text(make_calibration(plugin).model_dump_json())
    return plugin

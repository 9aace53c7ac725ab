"""``whycad map-focus``: whether maps look at the lesion when it does not lie in the middle."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import Estimate
from whycad.audit.lesion_focus import (
    CropOptions,
    FocusCase,
    FocusReport,
    enlarged_mask,
    focus_report,
    random_crop,
)
from whycad.commands._arguments import add_device, add_task, positive, say
from whycad.datasets.pack import Pack, read_pack
from whycad.errors import DatasetError
from whycad.types import AnalysisRequest, Study

if TYPE_CHECKING:
    from whycad.inference import Ensemble
    from whycad.plugin import Plugin

DONE, FAILED = 0, 1


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "map-focus",
        help="measure whether maps lie on the lesion",
        description="Crop images so that the lesion lies at random, explain the predicted label, and compare "
        "the map with the lesion's mask, with other images' maps and with a centred Gaussian. "
        "Exit status 1 where a check fails.",
    )
    add_task(parser)
    parser.add_argument(
        "--dataset", required=True, type=Path, metavar="PACK", help="image pack (.npz) with lesion masks"
    )
    parser.add_argument("--split", metavar="S", help="only rows of this split")
    parser.add_argument("--n", type=positive, default=200, help="images to explain (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of images, crops and bootstrap (default 0)")
    parser.add_argument("--method", default="gradcam", metavar="M", help="explanation method (default gradcam)")
    parser.add_argument(
        "--mask-column",
        default="lesion_mask_packed",
        metavar="C",
        help="column with masks; a name ending in _packed holds bits packed along the width",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the report there")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print and write the report."""
    from whycad.inference import choose_device, load_members
    from whycad.registry import discover

    plugin = discover().get(args.task)
    task = FocusTask(plugin, load_members(plugin, choose_device(args.device)), args.method, args.seed)
    pack = read_pack(args.dataset)
    masks = read_masks(pack, args.mask_column)
    cases, n_left_out = collect(pack, masks, pack.rows(args.split), args.n, task)
    report = focus_report(cases, seed=args.seed)
    for line in describe(report):
        say(line)
    if args.json is not None:
        facts = {
            "task": plugin.id,
            "weights_sha256": plugin.weights_sha256,
            "dataset": args.dataset.name,
            "split": args.split or "",
            "method": args.method,
            "seed": args.seed,
            "crop": asdict(CropOptions()),
            "n_left_out": n_left_out,
        }
        text = json.dumps({**facts, **asdict(report), "passes": report.passes}, indent=1)
        args.json.write_text(text + "\n", encoding="utf-8")
    return DONE if report.passes else FAILED


@dataclass(frozen=True, eq=False)
class FocusTask:
    """What explains: a plugin, its loaded members, the method and the seed."""

    plugin: Plugin
    ensemble: Ensemble
    method: str
    seed: int


def read_masks(pack: Pack, column: str) -> NDArray[np.bool_]:
    """Return the pack's masks ``(n, h, w)``.

    Packed masks are as wide as the image's aspect ratio says, padding bits dropped.

    Raises
    ------
    DatasetError
        When the pack has no such column of masks.
    """
    values = pack.column(column)
    if values is None or values.ndim != 3:
        raise DatasetError(
            f"pack {pack.path.name!r} has no column of masks {column[:64]!r}", remedy="use --mask-column"
        )
    if not column.endswith("_packed"):
        return np.asarray(values != 0, dtype=np.bool_)
    height, width = pack.image(0).shape[:2]
    bits = np.unpackbits(values.astype(np.uint8), axis=2)
    return np.asarray(bits[:, :, : min(bits.shape[2], round(bits.shape[1] * width / height))], dtype=np.bool_)


def collect(
    pack: Pack, masks: NDArray[np.bool_], rows: NDArray[np.int64], n: int, task: FocusTask
) -> tuple[list[FocusCase], int]:
    """Crop and explain up to n images, in random order.

    Returns
    -------
    list of FocusCase
    int
        How many images were left out: no crop fits, or the task gave no map.
    """
    from tqdm import tqdm

    rng = np.random.default_rng(task.seed)
    cases: list[FocusCase] = []
    n_left_out = 0
    with tqdm(total=min(n, len(rows)), unit="image", disable=None) as bar:
        for study, mask, group in _crops(pack, masks, rng.permutation(rows), rng):
            case = None if study is None else _explained(study, mask, group, task)
            if case is None:
                n_left_out += 1
                continue
            cases.append(case)
            bar.update()
            if len(cases) == n:
                break
    return cases, n_left_out


def _crops(
    pack: Pack, masks: NDArray[np.bool_], rows: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[tuple[Study | None, NDArray[np.bool_], str]]:
    for row in rows:
        image = pack.image(int(row))
        mask = enlarged_mask(masks[row], image.shape[:2])
        box = random_crop(mask, rng, CropOptions())
        if box is None:
            yield None, mask, ""
            continue
        part = (slice(box[0], box[2]), slice(box[1], box[3]))
        yield _study(image[part]), mask[part], pack.group(int(row))


def _study(image: NDArray[np.generic]) -> Study:
    scale = {"u1": 255.0, "u2": 65535.0}.get(image.dtype.str[1:], 1.0)
    pixels = np.ascontiguousarray(image, dtype=np.float32) / np.float32(scale)
    digest = hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()
    return Study(pixels, "OT", digest, "rgb" if image.ndim == 3 else "normalised")


def _explained(study: Study, mask: NDArray[np.bool_], group: str, task: FocusTask) -> FocusCase | None:
    from whycad.pipeline import analyse

    request = AnalysisRequest(explain=(task.method,), seed=task.seed, grade=False)
    attributions = analyse(study, task.plugin, request, ensemble=task.ensemble).attributions
    return FocusCase(attributions[0].map, mask, group) if attributions else None


def describe(report: FocusReport) -> Iterator[str]:
    """Yield the report in lines for a reader."""
    yield f"{report.n_images} images of {report.n_groups} groups; the lesion takes {report.mean_area:.1%} of a crop"
    if report.n_empty:
        yield f"{report.n_empty} maps are empty and count as looking elsewhere"
    yield f"{'':<22}{'mass inside / area':>26}{'peak inside':>26}"
    yield f"{'map':<22}{_shown(report.mass_ratio):>26}{_shown(report.peak_inside):>26}"
    for name, control in report.controls.items():
        yield f"{name:<22}{_shown(control.mass_ratio):>26}{_shown(control.peak_inside):>26}"
        gain = f"map - {name}"
        yield f"{gain:<22}{_shown(control.mass_ratio_gain):>26}{_shown(control.peak_inside_gain):>26}"
    for check, holds in report.checks.items():
        yield f"{'pass' if holds else 'FAIL'}  {check}"


def _shown(estimate: Estimate) -> str:
    if estimate.interval is None:
        return f"{estimate.value:.3f}"
    low, high = estimate.interval
    return f"{estimate.value:.3f} ({low:.3f}..{high:.3f})"

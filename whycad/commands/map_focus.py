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
from whycad.masked_cases import MaskedCase, masked_cases
from whycad.types import AnalysisRequest, Study

if TYPE_CHECKING:
    from whycad.inference import Ensemble
    from whycad.plugin import Plugin

DONE, FAILED = 0, 1
OWN_CASES = "the task's own held-out cases"
TURNED_BORDER = 0.9


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "map-focus",
        help="measure whether maps lie on the lesion",
        description="Explain the predicted label of images whose lesion lies at a random place, and compare "
        "the map with the lesion's mask, with other images' maps and with a centred Gaussian. With --data the "
        "cases are those on which the task tests its maps, whose masks it has checked; with --dataset they are "
        "cropped from a pack of your own, whose masks are used as they are. Exit status 1 where a check fails.",
    )
    add_task(parser)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, metavar="DIR", help="folder of image packs: the task's own held-out cases")
    source.add_argument("--dataset", type=Path, metavar="PACK", help="image pack (.npz) with lesion masks")
    parser.add_argument("--split", metavar="S", help="only rows of this split of --dataset")
    parser.add_argument("--n", type=positive, default=200, help="images to explain (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of images, crops and bootstrap (default 0)")
    parser.add_argument("--method", default="gradcam", metavar="M", help="explanation method (default gradcam)")
    parser.add_argument(
        "--mask-column",
        default="lesion_mask_packed",
        metavar="C",
        help="column of --dataset with masks; a name ending in _packed holds bits packed along the width",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the report there")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print and write the report."""
    from whycad.inference import choose_device, load_members
    from whycad.registry import discover

    plugin = discover().get(args.task)
    task = FocusTask(plugin, load_members(plugin, choose_device(args.device)), args.method, args.seed)
    cases, n_left_out = collect(_cases(args, plugin), args.n, task)
    report = focus_report(cases, seed=args.seed)
    for line in describe(report):
        say(line)
    if args.json is not None:
        facts = {
            "task": plugin.id,
            "weights_sha256": plugin.weights_sha256,
            "dataset": args.dataset.name if args.dataset else OWN_CASES,
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


def collect(offered: Iterator[MaskedCase | None], n: int, task: FocusTask) -> tuple[list[FocusCase], int]:
    """Explain up to n images.

    Parameters
    ----------
    offered : iterator of MaskedCase or None
        None where an image cannot be used.
    n : int
    task : FocusTask

    Returns
    -------
    list of FocusCase
    int
        How many images were left out: no crop fits, or the task gave no map.
    """
    from tqdm import tqdm

    cases: list[FocusCase] = []
    n_left_out = 0
    with tqdm(total=n, unit="image", disable=None) as bar:
        for one in offered:
            case = None if one is None else _explained(one, task)
            if case is None:
                n_left_out += 1
                continue
            cases.append(case)
            bar.update()
            if len(cases) == n:
                break
    return cases, n_left_out


def _cases(args: argparse.Namespace, plugin: Plugin) -> Iterator[MaskedCase | None]:
    if args.data is not None:
        return own_cases(plugin, args.data, args.n, args.seed)
    pack = read_pack(args.dataset)
    masks = read_masks(pack, args.mask_column)
    rng = np.random.default_rng(args.seed)
    return cropped_cases(pack, masks, rng.permutation(pack.rows(args.split)), rng)


def own_cases(plugin: Plugin, data: Path, n: int, seed: int) -> Iterator[MaskedCase]:
    """Yield the held-out cases on which a task tests its maps.

    Raises
    ------
    DatasetError
        When the task offers no cases with outlines.
    """
    n_outlined = 0
    for case in masked_cases(plugin, data, "report", n, seed):
        n_outlined += case.mask is not None
        yield case
    if not n_outlined:
        raise DatasetError(
            f"task {plugin.id!r} offers no outlined cases to test maps on",
            remedy="name code.masked_cases in plugin.toml, or use --dataset",
        )


def cropped_cases(
    pack: Pack, masks: NDArray[np.bool_], rows: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[MaskedCase | None]:
    """Crop a pack's images at random; None where no crop fits or the mask may be turned inside out."""
    for row in rows:
        image = pack.image(int(row))
        mask = enlarged_mask(masks[row], image.shape[:2])
        box = None if _holds_border(mask) else random_crop(mask, rng, CropOptions())
        if box is None:
            yield None
            continue
        part = (slice(box[0], box[2]), slice(box[1], box[3]))
        yield MaskedCase(_study(image[part]), pack.group(int(row)), mask=mask[part])


def _holds_border(mask: NDArray[np.bool_]) -> bool:
    """Tell whether a mask holds the image's border: then it marks what is around the lesion, or has no place."""
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return bool(border.mean() >= TURNED_BORDER)


def _study(image: NDArray[np.generic]) -> Study:
    scale = {"u1": 255.0, "u2": 65535.0}.get(image.dtype.str[1:], 1.0)
    pixels = np.ascontiguousarray(image, dtype=np.float32) / np.float32(scale)
    digest = hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()
    return Study(pixels, "OT", digest, "rgb" if image.ndim == 3 else "normalised")


def _explained(case: MaskedCase, task: FocusTask) -> FocusCase | None:
    from whycad.pipeline import analyse

    if case.mask is None:
        return None
    request = AnalysisRequest((task.method,), case.target, case.region, seed=task.seed, grade=False)
    attributions = analyse(case.study, task.plugin, request, ensemble=task.ensemble).attributions
    return FocusCase(attributions[0].map, case.mask, case.group) if attributions else None


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

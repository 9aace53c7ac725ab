"""``whycad what-if``: change an image and ask again."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from whycad.commands._arguments import add_device, add_task, level, numbers, say

if TYPE_CHECKING:
    from whycad.types import Region, Study
    from whycad.whatif.request import WhatIfRequest
    from whycad.whatif.result import WhatIf

KINDS = ("region", "artefact", "counterfactual", "fragility")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "what-if",
        help="change an image and ask again",
        description="Take a region or the artefacts away, or look for the smallest smooth change or the smallest "
        "change of every pixel that brings another answer, and say what the model answers then.",
    )
    parser.add_argument("file", type=Path, metavar="FILE_OR_FOLDER", help="one image or one series")
    add_task(parser)
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--box", type=numbers, metavar="A,B,...", help="first corner, then the opposite one")
    parser.add_argument("--slice", type=int, metavar="Z", help="of a volume, from 0")
    parser.add_argument("--point", type=numbers, metavar="Z,Y,X", help="what the task is to look at")
    parser.add_argument("--artefact", default="", metavar="NAME", help="only this kind")
    parser.add_argument("--goal", default="", metavar="L", help="label that a counterfactual should reach")
    parser.add_argument("--coverage", type=level, default=0.9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="OUT.json")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="masks and pictures too")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Change the image and say what came of it."""
    from whycad.files import write_whole
    from whycad.inference import choose_device, load_members
    from whycad.registry import discover
    from whycad.types import AnalysisRequest
    from whycad.whatif.result import save_what_ifs
    from whycad.whatif.run import what_if

    plugin, study = discover().get(args.task), _study(args.file)
    ensemble = load_members(plugin, choose_device(args.device))
    request = AnalysisRequest(region=_point(args.point), coverage=args.coverage)
    found = what_if(study, ensemble, request, _request(args))
    for item in found:
        say(item.title)
        if item.sham is not None:
            say(f"  {item.sham_sentence(plugin.manifest.label(item.before.predicted).name)}.")
        for line in (*item.reasons, *item.remarks):
            say(f"  {line}")
    if not found:
        say("No artefact was found.")
    if args.json is not None:
        write_whole(args.json, json.dumps([_numbers(item) for item in found], indent=1) + "\n")
    if args.save is not None:
        save_what_ifs(found, args.save, study.sha256, plugin.id)
    return 0


def _study(path: Path) -> Study:
    from whycad.errors import ImageError
    from whycad.imaging import read_studies

    items = read_studies([path])
    if len(items) != 1:
        raise ImageError(f"the file or folder holds {len(items)} images", remedy="name one of them")
    study = items[0].study
    if study is None:
        raise items[0].error or ImageError("the image cannot be read")
    return study


def _point(coordinates: tuple[float, ...] | None) -> Region | None:
    from whycad.types import Region

    return None if coordinates is None else Region(coordinates)


def _request(args: argparse.Namespace) -> WhatIfRequest:
    from whycad.types import Region
    from whycad.whatif.request import WhatIfKind, WhatIfRequest

    half = len(args.box) // 2 if args.box else 0
    return WhatIfRequest(
        kind=WhatIfKind(args.kind),
        box=Region(args.box[:half], args.box[half:]) if args.box else None,
        slices=None if args.slice is None else (args.slice, args.slice),
        artefact=args.artefact,
        goal=args.goal,
        seed=args.seed,
    )


def _numbers(item: WhatIf) -> dict[str, object]:
    """Return a what-if's words and numbers, without masks and pictures."""
    labels = item.before.labels
    return {
        "kind": item.kind.value,
        "name": item.name,
        "title": item.title,
        "before": dict(zip(labels, item.before.probabilities.tolist(), strict=True)),
        "after": dict(zip(labels, item.after.probabilities.tolist(), strict=True)),
        "control": None if item.sham is None else dict(zip(labels, item.sham.probabilities.tolist(), strict=True)),
        "change": item.change(),
        "control_change": item.sham_change(),
        "set_before": list(item.before.conformal_set),
        "set_after": list(item.after.conformal_set),
        "accepted": item.accepted,
        "reasons": list(item.reasons),
        "remarks": list(item.remarks),
        "parameters": dict(item.parameters),
        "seed": item.seed,
        "n_pixels": int(item.mask.sum()),
    }

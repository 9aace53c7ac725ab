"""``whycad index``: make the reference set of similar cases."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from whycad.commands._arguments import add_device, add_task, say

if TYPE_CHECKING:
    from whycad.plugin import Plugin
    from whycad.reference_cases import ReferenceCase


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "index",
        help="make the reference set of similar cases",
        description="Run a task's members over cases with known labels and keep their features, for the similar "
        "cases beside a result. With --data the cases are those that the task was calibrated on; with --dataset "
        "they are your own. The file goes to --out, by default your own folder ($WHYCAD_REFERENCE, else "
        "~/.local/share/whycad), where the app finds it.",
    )
    add_task(parser)
    cases = parser.add_mutually_exclusive_group(required=True)
    cases.add_argument("--data", type=Path, metavar="DIR", help="folder of image packs")
    cases.add_argument("--dataset", type=Path, metavar="PATH", help="a pack, or a folder with one folder per label")
    parser.add_argument("--split", metavar="S", help="only these rows of --dataset")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--out", type=Path, metavar="DIR", help="folder that gets the reference set")
    place.add_argument("--install", action="store_true", help="put the file into the plugin's own folder")
    parser.add_argument("--pictures", action="store_true", help="write thumbnails too; never into a plugin's folder")
    parser.add_argument("--name", default="", help="what the cases are, for the reader")
    parser.add_argument("--seed", type=int, default=0, help="of the order of cases")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Gather features and write them."""
    from whycad.inference import choose_device, load_members
    from whycad.neighbours import case_name
    from whycad.reference_index import build, gather, shuffled, write_index
    from whycad.registry import discover

    plugin = discover().get(args.task)
    path = _place(args, plugin)
    gathered = gather(_cases(args, plugin), load_members(plugin, choose_device(args.device)), pictures=args.pictures)
    order = shuffled(len(gathered.labels), args.seed)
    arrays = build(gathered, plugin, args.name or _name(args, plugin), order)
    codes = [gathered.labels[i] for i in order]
    bodies = [gathered.pictures[i] for i in order] if args.pictures else []
    pictures = {case_name(codes[row], row): body for row, body in enumerate(bodies)}
    write_index(arrays, path, pictures)
    say(f"{len(codes)} cases, {arrays['vectors'].shape[1]} numbers each, {path.stat().st_size / 1e6:.2f} MB: {path}")
    return 0


def _place(args: argparse.Namespace, plugin: Plugin) -> Path:
    """Return where the file goes; thumbnails never lie in a plugin's folder, which is handed on."""
    from whycad.errors import StoreError
    from whycad.reference_index import INDEX_NAME, own_folder

    declared = plugin.manifest.similar
    if args.install:
        path = plugin.folder / (declared.file if declared else INDEX_NAME)
    else:
        path = (args.out or own_folder(plugin.id)) / INDEX_NAME
    if args.pictures and path.resolve().is_relative_to(plugin.folder.resolve().parent):
        raise StoreError("pictures of patients may not lie beside plugins", remedy="name another folder with --out")
    return path


def _cases(args: argparse.Namespace, plugin: Plugin) -> Iterator[ReferenceCase]:
    from whycad.datasets.source import open_source
    from whycad.reference_cases import labelled_cases

    if args.data is not None:
        return plugin.reference_cases(args.data)
    source = open_source(args.dataset, plugin.manifest, read_row=plugin.row_reader)
    return labelled_cases(source, args.split, plugin.manifest.label_codes)


def _name(args: argparse.Namespace, plugin: Plugin) -> str:
    """Return what the cases are: of the calibration fold what calibration says, else the data set's name."""
    from whycad.scoring import calibration_of

    if args.dataset is not None:
        return str(args.dataset.stem)
    source = calibration_of(plugin).source
    return f"{source.dataset}, {source.selection}"

"""``whycad fragility``: measure how small a change flips the answer on calibration cases."""

from __future__ import annotations

import argparse
from pathlib import Path

from whycad.commands._arguments import add_device, add_task, positive, say

N_CASES = 60


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "fragility",
        help="measure how small a change flips the answer on calibration cases",
        description="Search, on cases that the task was calibrated on, for the smallest change of every pixel that "
        "brings another label, and store the distribution that a case is placed in. A run that was stopped goes on "
        "from its last case.",
    )
    add_task(parser)
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="folder of image packs")
    parser.add_argument("--n", type=positive, default=N_CASES, metavar="N", help=f"cases (default {N_CASES})")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of cases")
    parser.add_argument("--out", type=Path, default=Path("build/fragility"), metavar="DIR", help="unfinished runs")
    parser.add_argument("--install", action="store_true", help="put the file into the plugin's own folder")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Search case by case and write the table."""
    import torch

    from whycad.files import write_whole
    from whycad.inference import choose_device, load_members
    from whycad.registry import discover
    from whycad.scoring import calibration_of
    from whycad.whatif.fragility_table import choose, flips, table_from

    torch.set_num_threads(1)
    plugin = discover().get(args.task)
    ensemble = load_members(plugin, choose_device(args.device))
    args.out.mkdir(parents=True, exist_ok=True)
    kept = args.out / f"{plugin.id}-{plugin.weights_sha256[:12]}-seed{args.seed}.json"
    cases = choose(plugin.reference_cases(args.data), args.n, args.seed)
    found = []
    for value in flips(cases, ensemble, kept):
        found.append(value)
        say(f"{len(found)} of {len(cases)}: {'none found' if value is None else f'{100 * value:.3g} % of the range'}")
    source = calibration_of(plugin).source
    table = table_from(found, ensemble, f"{source.dataset}, {source.selection}", args.seed)
    name = plugin.manifest.fragility.file if plugin.manifest.fragility else "fragility.json"
    path = (plugin.folder if args.install else args.out) / name
    write_whole(path, table.model_dump_json(indent=1) + "\n")
    say(f"median {100 * table.median:.3g} % of the range over {table.n} cases: {path}")
    return 0

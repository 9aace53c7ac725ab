"""``whycad check-plugin``: whether a plugin keeps its contract."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from whycad.commands._arguments import say

if TYPE_CHECKING:
    from whycad.plugin import Plugin


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "check-plugin",
        help="run the contract checks on a plugin",
        description="Run the contract checks on an installed task or a plugin folder. The plugin's code is run, "
        "in a process of its own.",
    )
    parser.add_argument("plugin", metavar="ID_OR_FOLDER", help="a task id, or a folder with a plugin.toml")
    parser.add_argument("--timeout", type=float, default=120.0, metavar="S", help="longest time for one check")
    parser.add_argument("--json", action="store_true", help="write a list of objects instead of lines")


def run(args: argparse.Namespace) -> int:
    """Run every check; 1 when one fails."""
    from whycad.commands.tasks import printable
    from whycad.testing.contract import run_contract

    plugin = _find(args.plugin)
    outcomes = run_contract(plugin, timeout_s=args.timeout)
    if args.json:
        say(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    else:
        for outcome in outcomes:
            say(f"{outcome.state:<8}{outcome.check:<22}{printable(outcome.reason)}".rstrip())
    n_failed = sum(outcome.state == "failed" for outcome in outcomes)
    if not args.json:
        say(f"{plugin.label}: {'keeps its contract' if not n_failed else f'{n_failed} checks failed'}")
    return int(n_failed > 0)


def _find(name: str) -> Plugin:
    from whycad.manifest import MANIFEST_NAME
    from whycad.plugin import load_plugin
    from whycad.registry import discover

    folder = Path(name)
    if (folder / MANIFEST_NAME).is_file():
        return load_plugin(folder)
    return discover().get(name, untrained=True)

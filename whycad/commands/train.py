"""``whycad train``: train a task's model."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from whycad.commands._arguments import add_device, add_task, say


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "train",
        help="train a task's model",
        description="Train, calibrate and package a task's model. An unfinished run in --out is resumed.",
    )
    add_task(parser)
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="folder of image packs, or a table")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="checkpoints and the finished plugin")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--install", action="store_true", help="put the finished files into the plugin's own folder")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Call the training function that the manifest names."""
    from whycad.errors import DatasetError, StoreError, TrainingError
    from whycad.plugin import contained
    from whycad.registry import discover
    from whycad.training.request import TrainRequest

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    plugin = discover().get(args.task, untrained=True)
    reference = plugin.manifest.code.train
    if reference is None:
        raise TrainingError(f"task {plugin.id!r} declares no training function", remedy="set code.train in plugin.toml")
    if not args.data.exists():
        raise DatasetError(
            f"there is no folder or table {args.data.name!r}",
            remedy="name the folder of image packs with --data, or a table of images where the task reads one",
        )
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{args.out.name!r} cannot be made ({type(error).__name__})") from error
    request = TrainRequest(args.data, args.out, args.device, args.seed, args.install)
    train = plugin.resolve(reference)
    with contained(plugin, "train"):
        train(request)
    say(f"task {plugin.id!r} is trained; its files are below {args.out}")
    return 0

"""Packs of simulated slices: ``python -m plugins.liver_fibrosis.make_data --out pack.npz --n 1000 --seed 7``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plugins.liver_fibrosis.simulator import STAGES, SimulatedSlice, scanner_of, simulate
from plugins.liver_fibrosis.simulator_scanner import POPULATIONS, SCANNERS, ScannerSpec, check_scanner
from whycad.errors import DatasetError, StoreError, WhyCadError

# Every user of the simulator draws from a stream of its own, so that no seed given here can
# repeat a slice of training, calibration or the samples.
STREAMS = {"train": 1, "pack": 2, "phantom": 3, "calibration": 4, "gate": 5, "train_varied": 6}
MAX_SLICES = 100_000
DESCRIPTION = "simulated data: no image of a patient is in this pack"


@dataclass(frozen=True)
class PackOrder:
    """What a pack should hold.

    Attributes
    ----------
    n : int
        Slices; stages are equally frequent, each slice is of a patient of its own.
    seed : int
    scanners : tuple of str
        Taken in turn.
    split : str
        For the pack's ``split`` column.
    stream : str
        A key of ``STREAMS``.
    """

    n: int
    seed: int
    scanners: tuple[str, ...]
    split: str = "val"
    stream: str = "pack"

    def __post_init__(self) -> None:
        if not 1 <= self.n <= MAX_SLICES:
            raise DatasetError(f"a pack of {self.n} slices cannot be made", remedy=f"1 to {MAX_SLICES}")
        if self.seed < 0 or not self.scanners:
            raise DatasetError("a pack needs a seed of 0 or more and at least one scanner")
        for name in self.scanners:
            check_scanner(name)

    def slice(self, index: int) -> SimulatedSlice:
        """Simulate slice number ``index``."""
        return simulate(self._seed(index), *self.case(index))

    def scanner(self, index: int) -> ScannerSpec:
        """Return the scanner of slice number ``index``, which is its own where it is drawn from a population."""
        return scanner_of(self._seed(index), self.case(index)[1])

    def _seed(self, index: int) -> tuple[int, int, int]:
        return STREAMS[self.stream], self.seed, index

    def case(self, index: int) -> tuple[int, str]:
        """Return stage and scanner of slice number ``index``: every scanner sees every stage equally."""
        stage, turn = index % len(STAGES), index // len(STAGES)
        return stage, self.scanners[turn % len(self.scanners)]


def make_pack(order: PackOrder) -> dict[str, np.ndarray]:
    """Simulate a pack.

    Returns
    -------
    dict of str to ndarray
        ``images`` uint8 (n, 160, 160); ``y`` int64 (n,) indexing ``class_names``; ``patient``,
        ``scanner``, ``split`` (n,); ``pixel_mm`` (n,); ``latents`` float32 (n, d) named by
        ``latent_names``; ``liver_mask_packed`` and ``spleen_mask_packed`` (n, 160, 20), bits along
        the rows; ``modality``, ``simulated`` and ``description`` of the whole pack.
    """
    slices = [order.slice(index) for index in range(order.n)]
    names = tuple(slices[0].latents)
    return {
        "images": np.stack([item.image for item in slices]),
        "y": np.array([item.stage for item in slices], np.int64),
        "class_names": np.array(STAGES),
        "patient": np.array([f"simulated-{order.seed}-{index:06d}" for index in range(order.n)]),
        "scanner": np.array([item.scanner for item in slices]),
        "split": np.full(order.n, order.split),
        "pixel_mm": np.array([item.pixel_mm for item in slices], np.float32),
        "latents": np.array([[item.latents[name] for name in names] for item in slices], np.float32),
        "latent_names": np.array(names),
        **{
            f"{organ}_mask_packed": np.packbits(np.stack([item.masks[organ] for item in slices]), axis=2)
            for organ in ("liver", "spleen")
        },
        "modality": np.array("MR"),
        "simulated": np.array(True),
        "description": np.array(DESCRIPTION),
    }


def write_pack(order: PackOrder, path: Path) -> None:
    """Write a pack; the same order gives the same bytes."""
    pack = make_pack(order)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as stream:
            np.savez_compressed(stream, **pack)  # type: ignore[arg-type]  # the stub takes the arrays for a flag
        partial.replace(path)
    except OSError as error:
        raise StoreError(
            f"{path.name!r} cannot be written ({type(error).__name__})", remedy="name a file in a folder that exists"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make_data", description="Write a pack of simulated liver slices.")
    parser.add_argument("--out", required=True, type=Path, metavar="PACK.npz")
    parser.add_argument("--n", type=int, default=1000, help="slices (default 1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--scanner",
        default="C",
        help=f"one or several of {', '.join((*SCANNERS, *POPULATIONS))}, such as A,B (default C, held out)",
    )
    parser.add_argument("--split", default="val", help="name in the pack's split column (default val)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    args = _parser().parse_args(arguments)
    try:
        order = PackOrder(args.n, args.seed, tuple(args.scanner.upper().split(",")), args.split)
        write_pack(order, args.out)
    except WhyCadError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{args.n} simulated slices in {args.out}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

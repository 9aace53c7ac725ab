"""Run every case, print a table, write ``build/bench.json``: a list of ``{name, ratio, bound, passes}``."""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import math
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks import cases as case_modules
from benchmarks.case import Case
from benchmarks.report import page
from whycad.batching import keep_freed_memory
from whycad.errors import WhyCadError

DEFAULT_OUT = Path(__file__).resolve().parents[1] / "build" / "bench.json"


def all_cases() -> Iterator[Case]:
    """Yield the cases of every module in ``benchmarks.cases``."""
    for module in sorted(pkgutil.iter_modules(case_modules.__path__), key=lambda info: info.name):
        yield from importlib.import_module(f"{case_modules.__name__}.{module.name}").cases()


def row(case: Case) -> dict[str, object]:
    """Run one case; one that cannot run does not pass, and the reason is printed."""
    try:
        ratio: float = case.measure()
    except (WhyCadError, AssertionError, ImportError) as error:
        print(f"      {case.name}: {type(error).__name__}: {error}", file=sys.stderr)
        ratio = math.nan
    known = math.isfinite(ratio)
    return {
        "name": case.name,
        "ratio": round(ratio, 4) if known else None,
        "bound": case.bound,
        "passes": known and case.holds(ratio),
    }


def main(argv: list[str] | None = None) -> int:
    """Run the cases; exit status 1 where one does not pass."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose name contains this")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    parser.add_argument("--doc", type=Path, metavar="FILE", help="also write a page of the figures")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    # As the product runs; a side that stands for others' software has a process of its own without it.
    keep_freed_memory()
    rows: list[dict[str, object]] = []
    signs: dict[str, str] = {}
    for case in all_cases():
        if args.only not in case.name:
            continue
        result = row(case)
        rows.append(result)
        shown = "-" if result["ratio"] is None else f"{result['ratio']:.3f}"
        signs[case.name] = sign = ">=" if case.at_least else "<="
        print(f"{'pass' if result['passes'] else 'FAIL'}  {shown:>8} {sign} {case.bound:<6g} {case.name}", flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if args.doc:
        args.doc.write_text(page(rows, signs, datetime.datetime.now(tz=datetime.UTC).date()), encoding="utf-8")
    return 0 if all(result["passes"] for result in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

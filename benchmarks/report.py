"""``docs/benchmarks.md``: one run's ratios beside their bounds, and what they were measured on."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import torch

LIBRARIES = ("torch", "numpy", "captum", "lime", "scikit-image")
HEAD = """# Benchmarks

Written by `python -m benchmarks.run --doc docs/benchmarks.md`; do not edit. Every figure is a ratio of process
times on one thread, the medians of turns taken by both sides; no absolute time is kept. `make bench` prints the
same and writes `build/bench.json`.

"/" reads "divided by". Both sides have the same network, seed, samples and segments, and a case whose results
differ does not pass: LIME's coefficients agree with the `lime` package's within 1e-5, integrated gradients with
captum's within 1e-5, the engine's logits with the eager network's within 2e-5. What users have without this
project (the `lime` package, captum's default call, an eager network) runs in a process of its own, contiguous and
with the C library as it starts; ours runs folded, channels last, in fitted batches, and keeps freed memory.
"Passes" are the bare forward, or forward and backward, passes that a method needs, in batches of the same size.
The networks have random weights: a ResNet-18, and for 64 px a plain net of three convolutions at full resolution,
each pooled, and a smaller one whose convolutions have strides and which costs a quarter, so that what surrounds
its passes weighs most. Where a task is named, the networks are its own members.

Not measured here: CUDA.
"""


def machine() -> list[str]:
    """Return what the figures depend on, without names of machines, people or places."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return [
        f"processor: {model}, {torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} visible cores, one used",
        f"system: {platform.system()} {platform.machine()}, Python {platform.python_version()}, {libraries}",
        f"load at the end of the run: {busy:.1f}",
    ]


def page(rows: Sequence[Mapping[str, object]], signs: Mapping[str, str], day: datetime.date) -> str:
    """Return the page for rows as ``build/bench.json`` holds them; ``signs`` has ``<=`` or ``>=`` for each name."""
    table = ["| case | ratio | bound | |", "|---|---|---|---|"]
    for row in rows:
        ratio, name = row["ratio"], str(row["name"])
        shown = f"{ratio:.2f}" if isinstance(ratio, float) else "-"
        table.append(f"| {name} | {shown} | {signs[name]} {row['bound']} | {'pass' if row['passes'] else '**fail**'} |")
    passed = sum(bool(row["passes"]) for row in rows)
    facts = [f"- {fact}" for fact in (f"run on {day.isoformat()}", *machine(), f"{passed} of {len(rows)} pass")]
    return "\n".join([HEAD, *facts, "", *table, ""])

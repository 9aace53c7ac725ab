"""Contract checks in a child process: ``python -m whycad.testing.isolation FOLDER LOG CHECK...``.

The child appends a line to a log before and after each check. When it hangs or dies, the check
it had begun has failed, and a new child goes on with the rest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from whycad.plugin import Plugin, load_plugin
from whycad.worker_process import worker_environment

if TYPE_CHECKING:
    from whycad.testing.contract import CheckOutcome

POLL_S = 0.05
START_S = 300.0


def run_isolated(plugin: Plugin, names: Sequence[str], timeout_s: float) -> list[CheckOutcome]:
    """Run checks by name in child processes and return one outcome each, in order."""
    outcomes: list[CheckOutcome] = []
    while len(outcomes) < len(names):
        outcomes += _run_child(plugin, names[len(outcomes) :], timeout_s)
    return outcomes


def _run_child(plugin: Plugin, names: Sequence[str], timeout_s: float) -> list[CheckOutcome]:
    """Run a child over the checks until it is done or dies; at least one outcome."""
    from whycad.testing.contract import CheckOutcome

    with tempfile.TemporaryDirectory(prefix="whycad-contract-") as scratch:
        log = Path(scratch) / "log"
        log.touch()
        child = _start(plugin, log, names)
        try:
            how = _watch(child, log, timeout_s)
        finally:
            child.kill()
            child.wait()
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    outcomes = [CheckOutcome(**line) for line in lines if "state" in line]
    if len(outcomes) < len(names):
        reason = f"{plugin.label}: the check {how}"
        outcomes.append(CheckOutcome(names[len(outcomes)], "failed", reason))
    return outcomes


def _start(plugin: Plugin, log: Path, names: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "whycad.testing.isolation", str(plugin.folder.resolve()), str(log), *names]
    nothing = subprocess.DEVNULL
    environment = worker_environment(os.environ)
    return subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, env=environment)  # noqa: S603


def _watch(child: subprocess.Popen[bytes], log: Path, timeout_s: float) -> str:
    """Wait for a child; return how it ended, killing it when nothing happens for too long."""
    size, since = 0, time.monotonic()
    while child.poll() is None:
        now = time.monotonic()
        if log.stat().st_size != size:
            size, since = log.stat().st_size, now
        if now - since > (timeout_s if size else max(timeout_s, START_S)):
            return f"hung: it was not done within {timeout_s:g} s"
        time.sleep(POLL_S)
    return f"ended the process (exit status {child.returncode})"


def main(arguments: Sequence[str]) -> int:
    """Run the named checks on the plugin in a folder, writing lines to a log."""
    from whycad.testing.contract import run_check

    folder, log, *names = arguments
    plugin = load_plugin(Path(folder))
    for name in names:
        with Path(log).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"started": name}) + "\n")
        outcome = run_check(plugin, name)
        with Path(log).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(outcome)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

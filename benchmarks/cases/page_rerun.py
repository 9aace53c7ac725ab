"""What a rerun costs, over the real WebSocket, in units of a trivial app's rerun.

The server's processor time counts, so that other programs do not. Streamlit collects garbage
after every run unless told not to; with all libraries loaded that alone made a rerun many times
slower than the page.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

from benchmarks.case import Case

REPO = Path(__file__).resolve().parents[2]
PAGES = REPO / "benchmarks" / "pages"
BOUND = 3.0
# Fifty elements against one: pictures are not encoded anew, and nothing is computed.
CASE_VIEW_BOUND = 6.0
ELEMENTS = 40
START_S, ANSWER_S = 120.0, 120.0
WARM_UP, RUNS, ROUNDS = 10, 50, 5


class Reader:
    """A browser's end of one session, and the server it talks to."""

    def __init__(self, server: psutil.Process, connection: ClientConnection) -> None:
        self.server = server
        self.connection = connection

    def rerun(self) -> int:
        """Run the page again, wait until it is whole, and return how many elements came."""
        message = BackMsg()
        message.rerun_script.query_string = ""
        self.connection.send(message.SerializeToString())
        forward, elements = ForwardMsg(), 0
        while forward.WhichOneof("type") != "script_finished":
            forward.ParseFromString(bytes(self.connection.recv(ANSWER_S)))
            elements += forward.WhichOneof("type") in ("delta", "ref_hash")
        return elements

    def await_elements(self, wanted: int) -> None:
        """Run the page until it shows that much: samples are drawn in the background."""
        deadline = time.monotonic() + ANSWER_S
        while self.rerun() < wanted:
            assert time.monotonic() < deadline, "the page did not fill"
            time.sleep(1)

    def cost_s(self, runs: int = RUNS) -> float:
        """Return the server's processor seconds of one rerun, the mean of several."""
        before = self.server.cpu_times()
        for _ in range(runs):
            self.rerun()
        after = self.server.cpu_times()
        return (after.user + after.system - before.user - before.system) / runs


@contextmanager
def reader(script: Path) -> Iterator[Reader]:
    """Start a page on a server of its own and open a session, warmed up."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}"]
    command += ["--server.headless=true", "--server.fileWatcherType=none"]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    with tempfile.TemporaryFile() as log:
        # In the repository, so that the app's own settings hold for every page alike.
        process = subprocess.Popen(command, cwd=REPO, env=environment, stdout=log, stderr=log)
        try:
            _await(f"http://127.0.0.1:{port}/_stcore/health")
            with connect(f"ws://127.0.0.1:{port}/_stcore/stream", max_size=None) as connection:
                found = Reader(psutil.Process(process.pid), connection)
                for _ in range(WARM_UP):
                    found.rerun()
                yield found
        finally:
            process.terminate()
            process.wait(20)


def _await(url: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError("the page's server did not start")


def rerun_ratio(script: Path, elements: int = 1) -> float:
    """Return the cost of a page's rerun over that of the trivial page, measured in turns."""
    with reader(PAGES / "trivial.py") as trivial, reader(script) as page:
        page.await_elements(elements)
        pairs = [(page.cost_s(), trivial.cost_s()) for _ in range(ROUNDS)]
    return statistics.median(cost for cost, _ in pairs) / statistics.median(cost for _, cost in pairs)


def cases() -> list[Case]:
    """Return the cases of this module."""
    return [
        Case(
            "page rerun with every library loaded, over the trivial app's",
            BOUND,
            lambda: rerun_ratio(PAGES / "loaded.py"),
        ),
        Case(
            "rerun of the Case view, all samples on it, over the trivial app's",
            CASE_VIEW_BOUND,
            lambda: rerun_ratio(REPO / "app.py", ELEMENTS),
        ),
    ]

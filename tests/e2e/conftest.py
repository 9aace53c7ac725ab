"""A real browser and a real server for the tests that need them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
START_S = 60.0
StartApp = Callable[..., str]


def find_chromium() -> str | None:
    """Path of a browser: WHYCAD_CHROMIUM, then the usual names on PATH; None leaves it to playwright."""
    named = os.environ.get("WHYCAD_CHROMIUM")
    candidates = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return named or next((path for path in candidates if path), None)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    # WebGL comes from SwiftShader: test machines have no graphics card.
    # It is allowed, not forced: forcing it draws the whole page with it, eight times slower.
    args = ["--no-sandbox", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader"]
    found = find_chromium()
    return {**browser_type_launch_args, "args": args, **({"executable_path": found} if found else {})}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, "viewport": {"width": 1280, "height": 900}, "accept_downloads": True}


@pytest.fixture(scope="session")
def base_url() -> None:
    """Stand in for the plugin's own fixture, whose form pytest 9 warns about."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.15)
    pytest.fail(f"the app did not start at {url}:\n{log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(scope="session")
def start_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartApp]:
    """Return ``start(script, env=None, args=()) -> url``; everything it started is killed at the end."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(script: Path | str, env: Mapping[str, str] | None = None, args: tuple[str, ...] = ()) -> str:
        port = free_port()
        log = tmp_path_factory.mktemp("app") / "log.txt"
        options = ["--server.address=127.0.0.1", f"--server.port={port}", "--server.headless=true"]
        options += ["--browser.gatherUsageStats=false", "--server.fileWatcherType=none", *args]
        command = [sys.executable, "-m", "streamlit", "run", str(REPO / script), *options]
        path = os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH", "")]))
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, cwd=REPO, env={**os.environ, "PYTHONPATH": path, **(env or {})}, stdout=out, stderr=out
            )
        processes.append(process)
        url = f"http://127.0.0.1:{port}"
        wait_until_healthy(url, process, log)
        return url

    yield start
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)

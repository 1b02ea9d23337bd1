"""A real JupyterLab in a real Chromium, with nothing else to reach than this machine.

The tests are skipped where there is no Chromium, and fail there if MINILM_REQUIRE_BROWSER=1 says that there must be one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyterlab_page import JupyterLab

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")


RACE = "Failed to execute 'removeChild' on 'Node'"
"""What JupyterLab says now and then of its own elements while it closes or redraws a notebook; no view of ours removes nodes."""


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    """A running headless Chromium."""
    executable = next(filter(None, map(shutil.which, PLACES)), None)
    if executable is None:
        tell = pytest.fail if os.environ.get("MINILM_REQUIRE_BROWSER") == "1" else pytest.skip
        tell("no Chromium on this machine (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(chromium, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """Address of a JupyterLab server, and the folder it shows."""
    home = tmp_path_factory.mktemp("jupyter")
    folder = home / "work"
    folder.mkdir()
    _write_settings(home / "jupyterlab_settings_dir" / "@jupyterlab")
    port = _free_port()
    with open(home / "log", "w") as log:
        process = subprocess.Popen(
            _command(port, folder), env=_environment(home), stdout=log, stderr=log, cwd=folder
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(f"{address}/api/status", process, home / "log")
        yield address, folder
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()


@pytest.fixture(scope="module")
def lab(chromium, server) -> Iterator[JupyterLab]:
    """A page of JupyterLab, which must not have asked for anything beyond this machine, nor reported an error."""
    address, folder = server
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    page = JupyterLab(context.new_page(), address, folder)
    yield page
    context.close()
    assert page.foreign_requests == []
    assert [error for error in page.errors if not error.startswith(RACE)] == []


def _command(port: int, folder: Path) -> list[str]:
    options = {"ServerApp.token": "", "ServerApp.password": "", "ServerApp.port": port, "ServerApp.root_dir": folder,
               "ServerApp.open_browser": False, "ServerApp.port_retries": 0, "ServerApp.allow_root": True,
               "LabApp.expose_app_in_browser": True, "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate"}  # fmt: skip
    return [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]


def _environment(home: Path) -> dict[str, str]:
    """Settings and runtime files in a folder of their own, so that a reader's Jupyter is neither used nor changed."""
    folders = {name: str(home / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")}  # fmt: skip
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, **folders, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def _write_settings(folder: Path) -> None:
    """No question about news, and no cell left out of the page because it is out of sight."""
    settings = {
        "apputils-extension/notification": {"fetchNews": "false"},
        "notebook-extension/tracker": {"windowingMode": "none"},
    }
    for name, value in settings.items():
        path = folder / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(value))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(url: str, process: subprocess.Popen, log: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
            json.load(answer)
            return
        time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")

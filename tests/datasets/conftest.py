"""Fixtures of the shelf's tests: an empty cache, the mirror switched on, and a server on loopback that misbehaves."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from minilm.datasets.registry import Card, DataFile


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty download cache, and no mirror, whatever the environment of the person who runs the tests."""
    monkeypatch.delenv("MINILM_DATA", raising=False)
    monkeypatch.setenv("MINILM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def mirrored(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The offline mirror, switched on."""
    monkeypatch.setenv("MINILM_DATA", str(mirror))
    return mirror


class Server(ThreadingHTTPServer):
    """Serves `content` by path and notes every request; `faults` are played out one a request, then it behaves."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content: dict[str, bytes] = {}
        self.faults: list[str] = []
        self.ranges: list[str | None] = []
        self.understands_ranges = True
        self.sent = 0

    def card(self, **content: bytes) -> Card:
        """Put files on the server; a card whose register lists them with their true SHA-256."""
        self.content = {f"/{name}.txt": data for name, data in content.items()}
        files = tuple(
            DataFile(f"sub/{name}.txt", "all", self.url(name), hashlib.sha256(data).hexdigest(), len(data))
            for name, data in content.items()
        )
        return Card("toy", "A toy", "nowhere", "CC0", "str", {"all": "-"}, "", {"all": "bytes"}, files)

    def url(self, name: str) -> str:
        """The address of a file."""
        return f"http://127.0.0.1:{self.server_address[1]}/{name}.txt"


class Handler(BaseHTTPRequestHandler):
    """One request to a `Server`."""

    server: Server

    def do_GET(self) -> None:
        fault = self.server.faults.pop(0) if self.server.faults else ""
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        data = self.server.content.get(self.path)
        if data is None or fault == "error":
            self.send_error(404 if data is None else 503)
            return
        start = (
            int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.understands_ranges else 0
        )
        if fault.startswith("redirect "):
            self.send_response(302)
            self.send_header("Location", fault.removeprefix("redirect "))
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if fault == "gzip":
            data = gzip.compress(bytes(10_000_000), 1)
            self.send_header("Content-Encoding", "gzip")
        if fault != "endless":
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if fault == "endless":
            self.write_on()
        else:
            self.wfile.write(self.spoil(data[start:], fault))

    def write_on(self) -> None:
        """Send bytes until nobody listens any more, or for a gigabyte."""
        self.close_connection = True
        try:
            for _ in range(1000):
                self.wfile.write(b"more" * 250_000)
                self.server.sent += 1_000_000
        except OSError:
            pass

    def spoil(self, data: bytes, fault: str) -> bytes:
        """The bytes to send: all of them, half of them, or all with one changed."""
        if fault == "truncate":
            self.close_connection = True
            return data[: len(data) // 2]
        return bytes([data[0] ^ 1]) + data[1:] if fault == "corrupt" else data

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A running `Server`."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()

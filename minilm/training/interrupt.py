"""Ending a run after its current step: a flag for any thread, and Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

StopFlag = threading.Event
"""`stop = StopFlag()`, `train(..., stop=stop)`; `stop.set()` in any thread ends the run after its current step."""


@contextmanager
def interrupt_sets(flag: threading.Event) -> Iterator[threading.Event]:
    """Ctrl-C sets the flag, so that no step is cut in half; a second one interrupts as usual."""
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    previous = signal.getsignal(signal.SIGINT)

    def on_interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, previous)
        flag.set()

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, previous)

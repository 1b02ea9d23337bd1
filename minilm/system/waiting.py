"""How torch's threads wait for each other: a short spin, so that a busy machine stays as fast as it can be.

Between two products the threads of OpenMP wait. By default they spin: they ask again and again, on a core of their own. On an
idle machine that is fastest. As soon as anything else runs, a browser for instance, a spinning thread holds the core that the
thread it waits for needs, and training becomes many times slower. With a bounded spin a thread asks some thousand times and
then sleeps: `benchmarks/waiting.py` measures both. GNU's OpenMP reads the setting once, when torch is loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping

SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Environment variables that say how threads wait; what the reader has set stays."""
SPIN = "10000"
"""Times that a waiting thread asks before it sleeps."""


def wait_briefly(environment: MutableMapping[str, str] | None = None) -> bool:
    """Choose the short spin, unless the environment chooses already; False if torch was loaded before."""
    environment = os.environ if environment is None else environment
    if "torch" in sys.modules and not any(name in environment for name in SETTINGS):
        return False
    if not any(name in environment for name in SETTINGS):
        environment["GOMP_SPINCOUNT"] = SPIN
    return True


def describe_waiting() -> str:
    """How this process' threads wait, in words."""
    chosen = [f"{name}={os.environ[name]}" for name in SETTINGS if name in os.environ]
    return ", ".join(chosen) or "spinning"

"""Where files are looked for: the bundled checkpoints, the offline mirror, and the cache of downloads.

The two environment variables are read here and nowhere else:

    MINILM_DATA     a folder of public files, laid out like the downloads: an offline mirror. While it is set, nothing is
                    downloaded.
    MINILM_CACHE    where downloads and the tokens of large texts are kept, instead of the system's folder for caches.
"""

from __future__ import annotations

import os
from pathlib import Path

BUNDLED = Path(__file__).resolve().parents[2] / "data"
"""The checkpoints that come with the course, a folder each."""


def mirror_folder() -> Path | None:
    """The offline mirror (`MINILM_DATA`), whether or not it exists; None if the variable is unset or empty."""
    named = os.environ.get("MINILM_DATA")
    return Path(named) if named else None


def cache_folder() -> Path:
    """The folder of downloads: `MINILM_CACHE` if set, else the system's folder for caches."""
    named = os.environ.get("MINILM_CACHE")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("minilm", appauthor=False))

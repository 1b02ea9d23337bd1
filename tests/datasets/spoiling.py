"""Spoiling files: bytes and values that damaged, foreign and hostile files hold, put into sound ones at random."""

from __future__ import annotations

import codecs
import random
from typing import Any

NASTY = [
    *(
        b"\0",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        codecs.BOM_UTF8,
        codecs.BOM_UTF8 * 2,
        codecs.BOM_UTF16_LE,
        b"\r",
        b"\r\n",
    ),
    *(
        b'"',
        b"'",
        b",",
        b"\t",
        b"\n\n",
        b"[",
        b"]",
        b"{",
        b"}",
        b":",
        b"|",
        b"&",
        b"<",
        b">",
        b"-",
        b"#",
        b"%",
        b"\\",
    ),
    *(
        b'""',
        b"[]",
        b"{}",
        b"null",
        b"true",
        b"-1",
        b"1e999",
        b"NaN",
        b"9" * 5000,
        b"&amp;",
        b"&x;",
        b"<!--",
        b"]]>",
        b"\\u0000",
    ),
    *(
        b" " * 20_000,
        b"a" * 20_000,
        b"[" * 20_000,
        b"{" * 3000,
        b'{"a":' * 5000,
        b"<a>" * 5000,
        b"[a|" * 2000,
        b"x[y], " * 2000,
    ),
]
"""Pieces to put in."""
ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-8-sig", "latin-1", "cp1252")
VALUES = [None, True, 0, -1, 1.5, "", "abc", "\ud800", [], {}, [None], {"a": 1}, "x" * 5000, 10**400]
"""Values to put into structures."""


def spoil(data: bytes, random: random.Random) -> bytes:
    """The bytes with one to three random faults."""
    for _ in range(random.randint(1, 3)):
        at, to = sorted(random.randrange(len(data) + 1) for _ in range(2))
        fault = random.randrange(7)
        if fault == 0 and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
        elif fault == 1:
            data = data[:at]
        elif fault == 2:
            data = data[:at] + data[to:]
        elif fault == 3:
            data = data[:to] + data[at:]
        elif fault == 4:
            data = data.decode("utf-8", "replace").encode(random.choice(ENCODINGS), "replace")
        else:
            data = data[:at] + random.choice(NASTY) + data[at if fault == 5 else to :]
    return data


def spoil_value(value: Any, random: random.Random) -> Any:
    """A structure of lists and dicts with one value in it replaced, or one entry lost or doubled."""
    if not isinstance(value, list | dict) or not value or random.random() < 0.15:
        return random.choice(VALUES)
    changed = value.copy()
    key = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
    fault = random.randrange(8)
    if fault == 0:
        del changed[key]
    elif fault == 1 and isinstance(changed, list):
        changed.insert(key, changed[key])
    else:
        changed[key] = spoil_value(changed[key], random)
    return changed

"""Ways to spoil a file: its bytes, the JSON in it, the header of its tensors. Each is a pure function of a generator."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

JUNK: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    3,
    1.5,
    2.0,
    "",
    "16",
    "a.b",
    "keys",
    "lora",
    "query",
    [],
    {},
    [1, 2],
    ["query", "query"],
    {"a": 1},
    3_000_000,
    10**9,
    10**30,
    -(10**18),
    float("nan"),
    float("inf"),
    1e308,
    1e-300,
    "\ud800",
    "x" * 2000,
    "(a+)+$",
    "(",
    [[[[]]]],
)
"""Values that stand where others should."""
DEEP = "[" * 100_000
DIGITS = "9" * 5000
FREQUENT = (
    b"{",
    b"}",
    b'"',
    b",",
    b":",
    b"null",
    b"\xff",
    b"\0",
    b"1e999",
    b"-",
    DIGITS.encode(),
    DEEP.encode(),
)


def spoil_bytes(content: bytes, random: Random) -> bytes:
    """Cut, put in, turn over, or repeat some bytes anywhere."""
    at = random.randrange(len(content) + 1)
    end = min(len(content), at + random.choice((1, 2, 8, 100)))
    return random.choice(
        (
            lambda: content[:at],
            lambda: content[:at] + content[end:],
            lambda: content[:at] + random.choice(FREQUENT) + content[at:],
            lambda: content[:at] + random.randbytes(end - at) + content[end:],
            lambda: content[:end] + content[at:],
            lambda: content[at:],
            lambda: random.randbytes(random.choice((0, 1, 8, 300))),
        )
    )()


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found = [(tree, key) for key, _ in items]
    for container, key in list(found):
        found += places(container[key])
    return found


def spoil_tree(tree: Any, random: Random) -> Any:
    """Another value, no value, one more, or another name somewhere in a JSON tree; large lists are chosen as often as
    the few entries that matter."""
    tree = deepcopy(tree)
    here = tree
    while isinstance(here, dict | list) and here:
        key = random.choice(list(here) if isinstance(here, dict) else range(len(here)))
        deeper = isinstance(here[key], dict | list) and here[key] and random.random() < 0.8
        if not deeper:
            break
        here = here[key]
    if not isinstance(here, dict | list) or not here:
        return random.choice(JUNK)
    change = random.choice(("value", "value", "value", "drop", "add", "rename", "swap"))
    if change == "drop":
        del here[key]
    elif change == "add" and isinstance(here, dict):
        here[random.choice(("newer", "", "a.b", "keys", "n_layer"))] = random.choice(JUNK)
    elif change == "rename" and isinstance(here, dict):
        here[random.choice(("a.b", "", "keys", "training", "☃"))] = here.pop(key)
    elif change == "swap":
        container, other = random.choice(places(tree))
        here[key] = deepcopy(container[other])
    else:
        here[key] = random.choice(JUNK)
    return tree


def spoil_json(content: bytes, random: Random) -> bytes:
    """One or two changes of what a JSON text says; sometimes of its bytes, too deep, or with too many digits."""
    if random.random() < 0.3:
        return spoil_bytes(content, random)
    tree = json.loads(content)
    for _ in range(random.choice((1, 1, 2))):
        tree = spoil_tree(tree, random)
    text = json.dumps(tree)
    if random.random() < 0.05:
        text = (
            text.replace("1", DIGITS, 1) if random.random() < 0.5 else text.replace("{", f'{{"x": {DEEP}', 1)
        )
    return text.encode()


def spoil_tensors(content: bytes, random: Random) -> bytes:
    """Another header over the same data, or other bytes; not-a-number and infinity among them."""
    chance = random.random()
    size = int.from_bytes(content[:8], "little")
    if chance < 0.3:
        return spoil_bytes(content, random)
    if chance < 0.45:
        at = 8 + size + 4 * random.randrange((len(content) - 8 - size) // 4)
        return (
            content[:at]
            + random.choice((b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\0\0\x80\xff"))
            + content[at + 4 :]
        )
    header = spoil_tree(json.loads(content[8 : 8 + size]), random)
    if chance < 0.6 and isinstance(header, dict):
        entry = random.choice([each for each in header.values() if isinstance(each, dict)] or [{}])
        entry["dtype"] = random.choice(("I32", "U8", "F16", "BF16", "F64", "BOOL", "F8_E4M3", "X9"))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def spoiler_of(name: str) -> Callable[[bytes, Random], bytes]:
    """The spoiler that suits a file."""
    return spoil_tensors if name.endswith(".safetensors") else spoil_json

"""Whether a template's parts, written side by side, read as the units they are made of, with good capitals.

The oracle tokenises part by part. That is exact only where no unit crosses from one part into the next:
"kite" and "s" written side by side would be the one unit "kites". This walk meets every pair of neighbours
that a template can make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from minilm.storyworld.grammar import Fork, Mention, Part, Text
from minilm.storyworld.units import fuses, units

_START = ""
_SENTENCE_ENDS = (_START, ".", "!", "?")
_QUOTES = '"”'

Spoken = Callable[[Mention], Iterable[str]]
"""All texts that a mention may write."""


class SurfaceError(ValueError):
    """Words that run together, a small letter at a sentence's start, or a template with no sentence's end."""


def check_surface(parts: tuple[Part, ...], spoken: Spoken, lines: bool = False) -> None:
    """Walk all neighbours in a template; `SurfaceError` for the first pair that is wrong.

    Where each scene is a line of its own (`lines`), it may end without a full stop: "Dear Mia,".
    """
    for last in _walk(parts, {_START}, spoken):
        if not lines and not last.rstrip(_QUOTES).endswith((".", "!", "?")):
            raise SurfaceError(f"a template must end with . ! or ?, this one can end with {last!r}")


def _walk(parts: tuple[Part, ...], before: set[str], spoken: Spoken) -> set[str]:
    """The units that may come last after `parts`, given those that may come last before them."""
    for part in parts:
        if isinstance(part, Fork):
            before = set().union(*(_walk(option, before, spoken) for option in part.options))
        else:
            texts = [part.text] if isinstance(part, Text) else spoken(part)
            before = {_follow(before, text) for text in texts}
    return before


def _follow(before: set[str], text: str) -> str:
    """The last unit of `text`, after checking each step from unit to unit and from those before into it."""
    written = units(text)
    for left in before:
        _check_step(left, written[0])
    for left, right in pairwise(written):
        _check_step(left, right)
    return written[-1]


def _check_step(left: str, right: str) -> None:
    if left != _START and fuses(left, right):
        raise SurfaceError(f"{left!r} and {right!r} run together here: part them with a space, or use a form")
    if left in _SENTENCE_ENDS and right.strip()[:1].islower():
        where = "the template's start" if left == _START else f"{left!r}"
        raise SurfaceError(f"a capital must follow {where}, not {right!r}: in braces, {{Hero}} writes one")

"""Numbers as people read them: coordinates, figures, percentages and times as short text."""

from __future__ import annotations

import math


def fixed(value: float) -> str:
    """A coordinate, to two decimals at most: `fixed(12.50)` is "12.5"."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def number(value: float | None, digits: int = 3) -> str:
    """A figure: `number(0.003)` is "0.00300", `number(12345)` "12,345"; a dash for None, NaN and infinity."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if -4 <= magnitude < digits:
        return f"{value:.{max(digits - 1 - magnitude, 0)}f}"
    return f"{value:,.0f}" if 0 < magnitude < 9 else f"{value:.{digits - 1}e}"


def percent(fraction: float | None) -> str:
    """A fraction as a percentage: `percent(0.042)` is "4.2 %", `percent(0.4)` "40 %"."""
    if fraction is None or not math.isfinite(fraction):
        return "–"
    return f"{100 * fraction:.1f}\u202f%" if abs(fraction) < 0.0995 else f"{100 * fraction:.0f}\u202f%"


def duration(seconds: float | None) -> str:
    """A time: "0.4 s", "18 s", "2 min 05 s", "1 h 10 min"."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"

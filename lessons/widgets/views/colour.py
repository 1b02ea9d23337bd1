"""Colour as numbers: scales that are even to the eye, and how far two colours stand apart.

Everything is mixed in OKLab (Ottosson, *A perceptual color space for image processing*, 2020), where equal distances look
equally far. CSS mixes in the same space (`color-mix(in oklab, ...)`), so a figure drawn by Python and a view
coloured by the browser agree.
"""

from __future__ import annotations

from collections.abc import Sequence

Lab = tuple[float, float, float]
"""Lightness 0..1, green to red, blue to yellow."""

_TO_LMS = ((0.4122214708, 0.5363325363, 0.0514459929), (0.2119034982, 0.6806995451, 0.1073969566),
           (0.0883024619, 0.2817188376, 0.6299787005))  # fmt: skip
_TO_LAB = ((0.2104542553, 0.7936177850, -0.0040720468), (1.9779984951, -2.4285922050, 0.4505937099),
           (0.0259040371, 0.7827717662, -0.8086757660))  # fmt: skip
_FROM_LAB = ((1.0, 0.3963377774, 0.2158037573), (1.0, -0.1055613458, -0.0638541728),
             (1.0, -0.0894841775, -1.2914855480))  # fmt: skip
_FROM_LMS = ((4.0767416621, -3.3077115913, 0.2309699292), (-1.2684380046, 2.6097574011, -0.3413193965),
             (-0.0041960863, -0.7034186147, 1.7076147010))  # fmt: skip


def linear_rgb(colour: str) -> tuple[float, float, float]:
    """Light intensities 0..1 of a colour written "#rrggbb"."""
    if len(colour) != 7 or colour[0] != "#":
        raise ValueError(f'a colour is written "#rrggbb", not {colour!r}')
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return red, green, blue


def from_linear_rgb(intensities: Sequence[float]) -> str:
    """The colour "#rrggbb" of three light intensities; what no screen can show is cut off."""
    clipped = (min(max(c, 0.0), 1.0) for c in intensities)
    channels = (c * 12.92 if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055 for c in clipped)
    return "#" + "".join(f"{round(c * 255):02x}" for c in channels)


def to_oklab(colour: str) -> Lab:
    """OKLab coordinates of "#rrggbb"."""
    cone_responses = [value ** (1 / 3) for value in _apply(_TO_LMS, linear_rgb(colour))]
    return _apply(_TO_LAB, cone_responses)


def from_oklab(lab: Lab) -> str:
    """The colour "#rrggbb" nearest to OKLab coordinates."""
    return from_linear_rgb(_apply(_FROM_LMS, [value**3 for value in _apply(_FROM_LAB, lab)]))


def mix(low: str, high: str, share: float) -> str:
    """The colour a share 0..1 of the way from low to high, along a line in OKLab; beyond the ends it stays there."""
    share = min(max(share, 0.0), 1.0)
    pairs = zip(to_oklab(low), to_oklab(high), strict=True)
    lightness, a, b = (start + share * (end - start) for start, end in pairs)
    return from_oklab((lightness, a, b))


def difference(one: str, other: str) -> float:
    """Distance in OKLab: about 0.02 is just noticeable, 1 is black against white."""
    pairs = zip(to_oklab(one), to_oklab(other), strict=True)
    return sum((a - b) ** 2 for a, b in pairs) ** 0.5


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2, 0 for black and 1 for white."""
    red, green, blue = linear_rgb(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2, from 1 to 21; text wants 4.5, a line 3."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _apply(matrix: Sequence[Sequence[float]], vector: Sequence[float]) -> tuple[float, float, float]:
    x, y, z = (sum(m * v for m, v in zip(row, vector, strict=True)) for row in matrix)
    return x, y, z

"""The visual language: scales even to the eye, colors that color-blind readers tell apart, text that can be read."""

from itertools import combinations, pairwise

import pytest
from coloraide import Color
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons.widgets.figures import STYLE, use_style
from lessons.widgets.views.theme import DARK, LIGHT, minify, mix, series, style

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
colors = st.integers(0, 0xFFFFFF).map(lambda value: f"#{value:06x}")
BLINDNESS = ("protan", "deutan", "tritan")


def seen_with(blindness: str, color: str) -> str:
    """What full color-blindness makes of a color (Machado, Oliveira and Fernandes 2009)."""
    seen = Color(color).filter(blindness, method="machado")
    return seen.convert("srgb").clip().to_string(hex=True)


def difference(one: str, other: str) -> float:
    """Distance in OKLab: about 0.02 is just noticeable, 1 is black against white."""
    return Color(one).distance(other, space="oklab")


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2, from 1 to 21; text needs 4.5, a line 3."""
    return Color(one).contrast(other, method="wcag21")


def test_oklab_agrees_with_its_paper():
    assert Color("#ffffff").convert("oklab")[:3] == pytest.approx((1, 0, 0), abs=1e-4)
    assert Color("#ff0000").convert("oklab")[:3] == pytest.approx((0.62796, 0.22486, 0.12585), abs=1e-4)
    assert Color("#0000ff").convert("oklab")[:3] == pytest.approx((0.45201, -0.03246, -0.31153), abs=1e-4)


def test_black_on_white_has_the_largest_contrast():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@given(colors, colors, st.floats(0, 1))
@settings(deadline=None)
def test_a_mix_starts_and_ends_at_its_colors_and_lies_between_them_in_oklab(low, high, share):
    assert mix(low, high, 0) == mix(low, high, -3) == low
    assert mix(low, high, 1) == mix(low, high, 7) == high
    way = difference(low, high)
    assert difference(low, mix(low, high, share)) == pytest.approx(share * way, abs=0.01)
    assert difference(mix(low, high, share), high) == pytest.approx((1 - share) * way, abs=0.01)


@THEMES
def test_the_sequential_scale_has_even_steps_and_one_direction(theme):
    scale = [theme.sequential(step / 16) for step in range(17)]
    steps = [difference(a, b) for a, b in pairwise(scale)]
    assert scale[0] == theme.paper
    assert max(steps) < 1.25 * min(steps)
    lightness = [Color(color).convert("oklab")["l"] for color in scale]
    assert lightness in (sorted(lightness), sorted(lightness, reverse=True))


@THEMES
def test_the_diverging_scale_is_paper_at_zero_and_as_strong_on_either_side(theme):
    assert theme.diverging(0) == theme.paper
    for share in (0.25, 0.5, 1):
        plus, minus = (difference(theme.paper, theme.diverging(sign * share)) for sign in (1, -1))
        assert plus == pytest.approx(minus, rel=0.1)
    assert difference(theme.positive, theme.negative) > 0.2


@THEMES
@pytest.mark.parametrize("blindness", [None, *BLINDNESS])
def test_series_can_be_told_apart(theme, blindness):
    seen = [seen_with(blindness, color) if blindness else color for color in theme.series]
    assert min(difference(a, b) for a, b in combinations(seen, 2)) > 0.07


@THEMES
def test_text_and_lines_stand_out_from_what_is_behind_them(theme):
    for role in ("ink", "quiet", "good", "bad"):
        assert contrast(getattr(theme, role), theme.paper) >= 4.5
        assert contrast(getattr(theme, role), theme.panel) >= 4.5
    assert contrast(theme.ink, theme.sequential(0.55)) >= 4.5  # text on the darkest token
    assert all(contrast(color, theme.paper) >= 3 for color in theme.series)


def test_both_themes_name_the_same_roles_and_the_sheet_uses_no_other():
    import re

    sheet = style("plot", "training", "generation")
    defined = set(re.findall(r"(--mlm-[\w-]+):", sheet))
    assert set(re.findall(r"var\((--mlm-[\w-]+)", sheet)) <= defined
    assert sheet.count("--mlm-ink:") == 4
    assert len(LIGHT.series) == len(DARK.series)


def test_a_sheet_asks_for_nothing_from_elsewhere_and_keeps_to_itself():
    sheet = style("plot", "training", "generation")
    assert "url(" not in sheet
    assert "@import" not in sheet
    rules = [rule for rule in sheet.replace("}}", "}").split("}") if "{" in rule]
    selectors = [s for rule in rules for s in rule.rsplit("{", 1)[0].split("{")[-1].split(",")]
    assert all(".minilm" in s or s.startswith("@") for s in selectors), selectors


def test_minify_keeps_what_separates_a_selector_from_a_pseudo_class():
    assert (
        minify(".a :hover { color: red; } /* why */\n.b > p { margin: 0 }")
        == ".a :hover{color:red;}.b>p{margin:0}"
    )


@given(st.integers(0, 1000))
def test_series_never_run_out(number):
    assert series(number) == series(number + len(LIGHT.series))


def test_matplotlib_speaks_the_same_language():
    import matplotlib
    import matplotlib.pyplot as plt

    with plt.style.context("default"):
        use_style()
        cycle = [entry["color"] for entry in matplotlib.rcParams["axes.prop_cycle"]]
        for color in (
            *(f"#{c.lstrip('#')}" for c in cycle),
            "#" + matplotlib.rcParams["text.color"].lstrip("#"),
        ):
            assert min(contrast(color, LIGHT.paper), contrast(color, DARK.paper)) >= 3
        assert tuple(f"#{c.lstrip('#')}" for c in cycle) == LIGHT.series
        low, high = (matplotlib.colormaps["minilm_sequential"](value) for value in (0.0, 1.0))
        assert matplotlib.colors.to_hex(low) == LIGHT.paper
        assert matplotlib.colors.to_hex(high) == LIGHT.strong
    assert STYLE.is_file()

"""What holds for every drawing: pure, small, self-contained, well-formed, told in words, and legible in both themes."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from coloraide import Color
from hypothesis import given
from hypothesis import strategies as st

from lessons.widgets import drawings
from lessons.widgets.drawings.drawing import LARGEST, sheet
from lessons.widgets.drawings.labels import Literal, label, shortened, spans, visible, width
from lessons.widgets.drawings.shapes import Box, arrow, line, rectangles
from lessons.widgets.views.theme import DARK, LIGHT
from minilm.tuning import METHODS

FOLDER = Path(drawings.__file__).parent
EVERY = {**drawings.DRAWINGS, **{name: lambda name=name: drawings.method_drawing(name) for name in METHODS}}
drawn = pytest.mark.parametrize("drawing", EVERY, indirect=True)


@pytest.fixture(scope="module")
def drawing(request):
    """A drawing by its name, drawn once for all tests."""
    return EVERY[request.param]()


@drawn
def test_the_same_call_draws_the_same(drawing, request):
    again = EVERY[request.node.callspec.params["drawing"]]()
    assert again == drawing
    assert str(again) == str(drawing)


def test_drawings_know_nothing_of_jupyter_or_matplotlib():
    tools = {"ipywidgets", "IPython", "traitlets", "matplotlib"}
    for file in FOLDER.glob("*.py"):
        nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        assert not tools & {name.split(".")[0] for name in names}, file.name


@drawn
def test_a_drawing_is_small_and_well_formed(drawing, read):
    assert len(str(drawing).encode()) <= LARGEST
    assert read(drawing).tag == "section"
    assert ElementTree.fromstring(drawing.svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert drawing._repr_html_() == str(drawing)
    assert repr(drawing) == f"Drawing({drawing.name!r})"


@drawn
def test_a_drawing_is_told_in_words(drawing, read):
    picture = read(drawing).find("div/svg")
    assert read(drawing).get("aria-label") == drawing.caption == picture.findtext("title")
    assert picture.get("role") == "img"
    assert picture.findtext("desc") == drawing.description
    assert len(drawing.description) > 40
    assert re.fullmatch(r"\S[^.]*\.", drawing.caption), "one sentence"
    assert len(drawing.caption) <= 140


@drawn
def test_a_drawing_asks_for_nothing_and_runs_nothing(drawing, read):
    for element in [*read(drawing).iter(), *ElementTree.fromstring(drawing.svg).iter()]:
        assert element.tag.rpartition("}")[2] in {
            "section", "style", "div", "svg", "title", "desc", "g", "rect", "path", "circle", "text", "tspan", "img", "p",
        }  # fmt: skip
        assert not {
            name for name in element.attrib if name.startswith("on") or "href" in name or name == "id"
        }
        assert element.get("src", "data:image/svg+xml,").startswith("data:image/svg+xml,")
    assert not re.search(r"url\(|@import|https?:", str(drawing).replace("http%3A", "").split("<img")[0])


@drawn
def test_without_its_style_sheet_only_a_picture_and_one_sentence_are_left(drawing, read):
    whole = read(drawing)
    shown = [element for element in whole if element.tag != "style" and element.get("hidden") is None]
    assert [element.tag for element in shown] == ["img", "p"]
    assert shown[1].text == shown[0].get("alt") == drawing.caption


@drawn
def test_no_style_is_missing_and_no_number_is_odd(drawing, read):
    rules = sheet("picture", "page")
    for element in read(drawing).iter():
        for name in (element.get("class") or "").split():
            assert name in ("minilm", "drawing", "dr-strong") or f".{name}" in rules, name
        numbers = [
            value for name, value in element.items() if name in ("d", "x", "y", "cx", "cy", "width", "height")
        ]
        assert not re.search(r"nan|inf|e", " ".join(numbers).replace("100%", ""))


def test_every_rule_keeps_to_drawings_and_every_color_is_defined():
    rules = sheet("picture", "page")
    assert set(re.findall(r"var\((--[\w-]+)[,)]", rules)) <= set(re.findall(r"(--[\w-]+):", rules)) | {
        "--jp-ui-font-family", "--jp-code-font-family", "--jp-layout-color0",
    }  # fmt: skip
    selectors = [rule.rpartition("{")[0] for rule in rules.replace("}}", "}").split("}") if "{" in rule]
    assert all(".drawing" in each for each in selectors)


def paint(theme, declaration: str) -> str:
    """The color of a declaration such as "color-mix(in oklab,var(--mlm-quiet) 15%,var(--mlm-paper))"."""
    mixed = re.fullmatch(r"color-mix\(in oklab,var\(([\w-]+)\) (\d+)%,var\(([\w-]+)\)\)", declaration)
    if not mixed:
        return role(theme, re.fullmatch(r"var\(([\w-]+)\)", declaration)[1])
    strong, share, weak = mixed.groups()
    between = Color.interpolate([role(theme, weak), role(theme, strong)], space="oklab")(int(share) / 100)
    return between.convert("srgb").to_string(hex=True)


def role(theme, name: str) -> str:
    """The theme's color of "--mlm-quiet", "--mlm-series-1" or of a name that the sheet defines by them."""
    name = name.removeprefix("--mlm-")
    if name.startswith("--"):
        return paint(theme, declarations()[name])
    return theme.series[int(name[-1])] if name.startswith("series") else getattr(theme, name)


def declarations() -> dict[str, str]:
    """The colors that the drawings' sheet makes of the theme's."""
    return dict(re.findall(r"(--(?!mlm)[\w-]+):((?:color-mix|var)\([^;]+\));", sheet("picture")))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_lines_stand_out_from_everything_that_they_stand_on(theme):
    grounds = {
        name: paint(theme, declarations()[name]) for name in ("--frozen", "--ground", "--tint", "--seen")
    }
    merged = Color.interpolate([grounds["--tint"], grounds["--frozen"]], space="oklab")(0.5).convert("srgb")
    for ground in [theme.paper, *grounds.values(), merged.to_string(hex=True)]:
        assert Color(theme.ink).contrast(ground) >= 4.5
    for ground in (theme.paper, grounds["--ground"]):
        assert Color(theme.quiet).contrast(ground) >= 4.5
        for name in ("--edge", "--tuned", "--stream"):
            assert Color(paint(theme, declarations()[name])).contrast(ground) >= 3, name


def test_notation_is_code_math_and_plain():
    assert [tuple(each) for each in spans("at `a_b`, $P_k$ and $T^{1..L}$")] == [
        ("at ", "", 0), ("a_b", "code", 0), (", ", "", 0), ("P", "math", 0), ("k", "math", -1), (" and ", "", 0),
        ("T", "math", 0), ("1", "", 1), (".", "", 1), (".", "", 1), ("L", "math", 1),
    ]  # fmt: skip
    assert tuple(spans("$softmax(q)$")[0]) == ("softmax", "", 0)


@given(st.text(max_size=30))
def test_literal_text_is_shown_as_it_is_and_never_becomes_markup(text):
    (element,) = ElementTree.fromstring(f"<svg>{label(Literal(text.replace(chr(10), ' ')), (0, 0))}</svg>")
    assert "".join(element.itertext()) == visible(text.replace("\n", " "))
    assert len(element) == 0


@given(st.text(max_size=60), st.floats(20, 400))
def test_shortened_text_fits_and_is_the_beginning(text, room):
    short = shortened(text, room)
    assert width(short) <= room
    assert short == visible(text) or visible(text).startswith(short.removesuffix("…"))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=5, unique=True))
def test_a_line_begins_and_ends_where_it_should(points):
    for shape in (line(*points), arrow(*points)):
        data = re.search(r' d="M(-?[\d.]+) ?(-?[\d.]+)', shape)
        assert tuple(map(float, data.groups())) == points[0]


@given(st.lists(st.tuples(st.integers(0, 700), st.integers(0, 700)), max_size=30))
def test_many_rectangles_are_all_where_they_should_be(corners):
    drawn = rectangles([Box(x, y, 10, 12) for x, y in corners], "seen")
    moves = re.findall(r"m(-?[\d.]+) ?(-?[\d.]+)h10v12h-10z", drawn or "")
    x, y, found = 0.0, 0.0, []
    for dx, dy in moves:
        x, y = x + float(dx), y + float(dy)
        found.append((x, y))
    assert found == corners

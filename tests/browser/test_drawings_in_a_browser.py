"""Drawings in a real browser: no text is cut, covered or crossed by a line, and they follow the page's theme.

The fonts here are the widest of the usual ones (DejaVu), so what fits here fits elsewhere.
"""

from __future__ import annotations

import nbformat
import pytest
import torch
from jupyterlab_page import PATIENCE
from playwright.sync_api import expect

from lessons.widgets import drawings
from minilm import tuning

WORDS = [
    "One",
    "misty",
    "afternoon",
    ",",
    "Tom",
    "Park",
    "hopped",
    "to",
    "the",
    "park",
    "with",
    "his",
    "purple",
    "cup",
]
EVERY = {
    **drawings.DRAWINGS,
    **{name: lambda name=name: drawings.method_drawing(name) for name in tuning.METHODS},
    "all maps": lambda: drawings.method_drawing(
        tuning.LoRA(targets=("query", "key", "value", "output", "up", "down"))
    ),
    "houlsby": lambda: drawings.method_drawing(tuning.Adapter(placement="houlsby")),
    "after the block": lambda: drawings.method_drawing(tuning.Adapter(placement="block")),
    "inducer with lora": lambda: drawings.method_drawing(tuning.Inducer.with_lora()),
    "a matrix": lambda: drawings.visibility_drawing(torch.ones(14, 14).tril().bool(), WORDS),
    "a large matrix": lambda: drawings.visibility_drawing(
        torch.ones(40, 40).tril().bool(), [f"token {n}" for n in range(40)]
    ),
}

FAULTS = """() => {
  const svg = document.querySelector(".dr-canvas svg"), frame = svg.getBoundingClientRect(), found = [];
  const all = [...svg.querySelectorAll("text")].map(e => ({e, b: e.getBoundingClientRect(), t: e.textContent}));
  const texts = all.filter(({e}) => !e.hasAttribute("transform"));
  const boxes = [...svg.querySelectorAll("rect")].map(e => e.getBoundingClientRect());
  const shared = (a, b) => [Math.min(a.right, b.right) - Math.max(a.left, b.left), Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)];
  for (const {b, t} of all)
    if (b.left < frame.left || b.right > frame.right || b.top < frame.top || b.bottom > frame.bottom) found.push(`cut: ${t}`);
  texts.forEach((one, i) => texts.slice(i + 1).forEach(other => {
    const [w, h] = shared(one.b, other.b);
    if (w > 1 && h > 3) found.push(`on another text: ${one.t} | ${other.t}`);
  }));
  for (const {b, t} of texts) for (const box of boxes) {
    const x = (b.left + b.right) / 2, y = (b.top + b.bottom) / 2;
    const inside = x > box.left && x < box.right && y > box.top && y < box.bottom;
    const [w, h] = shared(b, box);
    if (inside && (b.left < box.left + 2 || b.right > box.right - 2)) found.push(`wider than its box: ${t}`);
    if (!inside && box.height < 200 && w > 0.5 && h > 3.5) found.push(`on a box: ${t}`);
  }
  for (const path of svg.querySelectorAll(".dr-flow, .dr-added, .dr-stream, .dr-tie")) {
    const matrix = path.getScreenCTM();
    for (let at = 0; at <= path.getTotalLength(); at += 1.5) {
      const {x, y} = path.getPointAtLength(at).matrixTransform(matrix);
      const hit = texts.find(({b}) => x > b.left - 1 && x < b.right + 1 && y > b.top + 2.5 && y < b.bottom - 3);
      if (hit) { found.push(`crossed by a line: ${hit.t}`); break; }
    }
  }
  return found;
}"""


@pytest.fixture(scope="module")
def tab(chromium):
    """An empty page, with the network off."""
    context = chromium.new_context(offline=True)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("draw", EVERY.values(), ids=EVERY)
def test_no_text_is_cut_covered_or_crossed(tab, draw):
    for viewport in (700, 1200):
        tab.set_viewport_size({"width": viewport, "height": 900})
        tab.set_content(f"<body>{draw()}</body>")
        assert tab.evaluate(FAULTS) == []
        section = tab.locator("section.drawing")
        assert section.evaluate("element => element.scrollWidth <= element.clientWidth")
        expect(section.locator("img")).to_be_hidden()


def test_a_fault_would_be_found(tab):
    whole = str(drawings.lora())
    for moved, fault in (
        (whole.replace(' x="412', ' x="4120').replace('x="394" ', 'x="940" '), "cut"),
        (
            whole.replace(">y</text>", ">y is a long text that runs into the next panel</text>"),
            "on another text|wider",
        ),
    ):
        tab.set_content(f"<body>{moved}</body>")
        assert any(each.split(":")[0] in fault for each in tab.evaluate(FAULTS)), fault


@pytest.mark.parametrize(
    ("attribute", "paper"), [("true", "rgb(255, 255, 255)"), ("false", "rgb(17, 17, 17)")]
)
@pytest.mark.parametrize("system", ["light", "dark"])
def test_the_page_outweighs_the_system(tab, system, attribute, paper):
    tab.emulate_media(color_scheme=system)
    tab.set_content(f'<body data-jp-theme-light="{attribute}">{drawings.lora()}</body>')
    expect(tab.locator("section.drawing")).to_have_css("background-color", paper)
    tab.set_content(f"<body>{drawings.lora()}</body>")
    dark = "rgb(17, 17, 17)" if system == "dark" else "rgb(255, 255, 255)"
    expect(tab.locator("section.drawing")).to_have_css("background-color", dark)


@pytest.mark.parametrize("draw", drawings.DRAWINGS.values(), ids=drawings.DRAWINGS)
def test_the_file_is_a_picture_of_the_same_shape(tab, draw, tmp_path):
    path = tmp_path / "drawing.svg"
    path.write_text(draw().svg, encoding="utf-8")
    tab.goto(path.as_uri())
    assert tab.evaluate("() => document.documentElement.viewBox.baseVal.height") == draw().height


def test_jupyterlab_shows_the_drawing_in_its_own_theme(lab):
    lab.open("from lessons.widgets import drawings\ndrawings.prefix()", name="drawing.ipynb")
    trusted = lab.page.locator(".jp-OutputArea-output section.drawing")
    expect(trusted.locator("svg")).to_be_visible(timeout=PATIENCE)
    lab.use_theme("dark")
    expect(trusted.locator("text").first).to_have_css("fill", "rgb(232, 234, 238)")
    lab.use_theme("light")
    expect(trusted.locator("text").first).to_have_css("fill", "rgb(28, 32, 38)")


def test_where_jupyterlab_does_not_trust_a_notebook_it_shows_a_picture(lab):
    output = nbformat.v4.new_output("display_data", {"text/html": str(drawings.prefix())})
    cells = [nbformat.v4.new_code_cell("drawings.prefix()", outputs=[output])]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), lab.folder / "untrusted.ipynb")
    tab = lab.page.context.new_page()
    tab.goto(f"{lab.address}/lab/tree/untrusted.ipynb?reset", wait_until="domcontentloaded", timeout=PATIENCE)
    shown = tab.locator(".jp-OutputArea-output section")
    expect(shown.locator("img")).to_be_visible(timeout=PATIENCE)
    expect(shown.locator("svg")).to_have_count(0)
    assert shown.locator("img").evaluate("image => image.naturalWidth") > 0
    assert shown.inner_text().strip() == drawings.prefix().caption
    tab.close()

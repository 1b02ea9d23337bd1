"""The course's own notebooks as web pages, with the network off: nothing is asked for, no explorer is blank or cut."""

import nbformat
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import expect

from lessons.convert import find_lessons

SAVED = [lesson.notebook for lesson in find_lessons() if lesson.notebook.exists()]


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
def test_a_saved_notebook_shows_its_explorers_without_a_network(chromium, path, tmp_path):
    exporter = HTMLExporter(mathjax_url="", require_js_url="", jupyter_widgets_base_url="")
    page = tmp_path / "notebook.html"
    page.write_text(exporter.from_notebook_node(nbformat.read(path, 4))[0], encoding="utf-8")
    context = chromium.new_context(offline=True, viewport={"width": 1200, "height": 900})
    tab, requests = context.new_page(), []
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(page.as_uri(), wait_until="load")
    views = tab.locator(".minilm:not(.bare)")
    expect(views).not_to_have_count(0)
    for view in views.all():
        assert view.bounding_box()["height"] > 60
        assert view.evaluate("element => element.scrollWidth <= element.clientWidth"), "something is cut off"
    expect(tab.locator(".status.error")).to_have_count(0)
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    context.close()

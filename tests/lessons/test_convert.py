"""Lesson to notebook: what is kept, what is made, what is taken out."""

import nbformat
import pytest
from nbformat.v4 import new_output

from lessons.convert import CHECKED, ROOT, WIDGET_VIEW, Lesson, clean, convert, find_lessons

SOURCE = """\
# %% [markdown]
# # Sums
#
# Text.

# %% tags=["key"]
right = 3

# %% tags=["exercise"]
total = ...

# %% tags=["solution"]
total = 1 + 2

# %% tags=["nbval-check-output"]
1 + 2

# %%
%pip --version

# %%
1 + 2
"""


@pytest.fixture
def lesson(tmp_path):
    source = tmp_path / "07_sums.py"
    source.write_text(SOURCE, encoding="utf-8")
    return Lesson(source, tmp_path / "07_sums.ipynb")


@pytest.fixture
def executed(lesson):
    """The lesson's notebook as if a kernel had run it."""
    notebook = convert(lesson)
    for count, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), start=1):
        cell.execution_count = count
        cell.outputs = [result("3")]
    return notebook


def result(text, **data):
    return new_output("execute_result", data={"text/plain": text, **data}, execution_count=1)


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def test_cells_keep_their_order_kind_and_tags(lesson):
    cells = convert(lesson).cells
    assert [cell.cell_type for cell in cells] == ["markdown"] + ["code"] * 6
    assert cells[0].source.startswith("# Sums\n\nText.")
    assert cells[4].metadata.tags == [CHECKED]


def test_what_holds_an_answer_is_folded_and_nothing_else_is(lesson):
    folded = ["jupyter" in cell.metadata for cell in convert(lesson).cells]
    assert folded == [False, True, False, True, False, False, False]


def test_the_first_line_of_a_folded_cell_shows_in_jupyterlab_and_tells_no_answer(lesson):
    key, solution = (cell.source.splitlines() for cell in convert(lesson).cells if "jupyter" in cell.metadata)
    assert (key[0][0], key[1:]) == ("#", ["right = 3"])
    assert (solution[0][0], solution[1:]) == ("#", ["total = 1 + 2"])


def test_ids_are_valid_unique_and_move_with_their_cell(lesson):
    before = convert(lesson)
    nbformat.validate(before)
    ids = [cell.id for cell in before.cells]
    assert len(set(ids)) == len(ids)
    lesson.source.write_text("# %%\nnew = 0\n\n" + SOURCE, encoding="utf-8")
    assert [cell.id for cell in convert(lesson).cells][1:] == ids


def cleaned(notebook, *outputs):
    """What cleaning leaves of these outputs."""
    notebook.cells[1].outputs = list(outputs)
    return clean(notebook).cells[1].outputs


def test_a_widget_leaves_its_static_html(executed):
    view = {WIDGET_VIEW: {"model_id": "1"}, "text/html": "<svg/>"}
    assert cleaned(executed, result("Explorer()", **view))[0].data == {
        "text/plain": "Explorer()",
        "text/html": "<svg/>",
    }


def test_a_figure_asks_for_no_background_of_its_own(executed):
    figure = new_output("display_data", data={"image/png": "iVBORw0="}, metadata={"needs_background": "dark"})
    assert cleaned(executed, figure)[0].metadata == {}


def test_progress_bars_leave_nothing(executed):
    bar = result("  0%|          | 0/9 [00:00<?, ?it/s]", **{WIDGET_VIEW: {"model_id": "1"}})
    assert cleaned(executed, bar, stream("\r  0%|     | 0/9\r100%|#####| 9/9\n", "stderr")) == []


def test_a_stream_is_one_output_however_it_arrived(executed):
    outputs = cleaned(executed, stream("a\nb"), stream("c\n"), stream("w\n", "stderr"), stream("d\n"))
    assert [(each.name, each.text) for each in outputs] == [
        ("stdout", "a\nbc\n"),
        ("stderr", "w\n"),
        ("stdout", "d\n"),
    ]


def test_paths_and_addresses_are_not_saved(executed):
    text = f"<Model at 0x7f21c0a8b3d0> {ROOT}/data {ROOT}-else 50% | 0x10"
    saved = cleaned(executed, stream(text))[0].text
    assert saved.startswith("<Model at 0x0> ./data ")
    assert saved.endswith(f"{ROOT.name}-else 50% | 0x10")  # a neighbour's path is not the checkout's


def test_cleaning_twice_changes_nothing_more(executed):
    executed.cells[1].outputs = [stream("a"), stream("b"), result(f"{ROOT}/x 0x7f21c0a8b3d0")]
    once = nbformat.writes(clean(executed))
    assert nbformat.writes(clean(nbformat.reads(once, as_version=4))) == once


def test_an_unknown_lesson_is_named_with_the_known():
    with pytest.raises(ValueError, match="no lesson 'knitting'"):
        find_lessons(["knitting"])

"""A notebook that left its lesson, did not run, or was saved with a machine's traces is found out."""

import nbformat
import pytest
from nbformat.v4 import new_output

from lessons.convert import CHECKED, ROOT, Lesson, clean, convert
from lessons.faults import EXERCISES, faults
from lessons.widgets.explorer import status_line

EXERCISE = """
# %% tags=["key"]
exercise("{name}", 3, hints=("Count.",))

# %% tags=["exercise"]
{name} = ...
check("{name}", {name})

# %% tags=["solution"]
{name} = 3
solution("{name}", {name})
"""
SOURCE = """\
# %% [markdown]
# # Sums

# %% tags=["nbval-check-output"]
1 + 2
""" + "".join(EXERCISE.format(name=name) for name in ("one", "two", "three"))


@pytest.fixture
def lesson(tmp_path):
    source = tmp_path / "07_sums.py"
    source.write_text(SOURCE, encoding="utf-8")
    return Lesson(source, tmp_path / "07_sums.ipynb")


@pytest.fixture
def executed(lesson):
    """The lesson's notebook as if a kernel had run it."""
    return run(lesson)


def run(lesson):
    notebook = convert(lesson)
    for count, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), start=1):
        cell.execution_count = count
        cell.outputs = [shown("3")]
    return notebook


def shown(text, kind="text/plain"):
    return new_output("execute_result", data={kind: text}, execution_count=1)


def save(notebook, lesson):
    nbformat.write(notebook, lesson.notebook)


def found(lesson, notebook):
    save(notebook, lesson)
    return faults(lesson)


def test_an_executed_notebook_has_no_faults(lesson, executed):
    assert found(lesson, clean(executed)) == []


def test_a_missing_notebook_is_a_fault(lesson):
    assert "missing" in faults(lesson)[0]


def test_a_stripped_notebook_is_a_fault_in_every_code_cell(lesson):
    assert sum("not executed" in fault for fault in found(lesson, convert(lesson))) == 10


def test_an_explorer_that_tells_of_an_error_is_a_fault(lesson, executed):
    executed.cells[1].outputs = [shown(status_line("KeyError: 3", is_error=True), "text/html")]
    assert "cell 1 shows an explorer with an error" in found(lesson, executed)


def test_a_notebook_stripped_of_outputs_alone_is_a_fault(lesson, executed):
    for cell in executed.cells[1:]:
        cell.outputs = []
    assert found(lesson, executed) == [f"cell 1 is tagged {CHECKED} and has no output to compare"]


@pytest.mark.parametrize("change", ["source", "tags", "unfolded", "removed", "kind"])
def test_a_notebook_that_left_its_lesson_is_a_fault(lesson, executed, change):
    if change == "source":
        executed.cells[1].source = "total = 4"
    elif change == "tags":
        executed.cells[1].metadata.tags = []
    elif change == "unfolded":
        del executed.cells[2].metadata["jupyter"]
    elif change == "removed":
        del executed.cells[-1]
    else:
        executed.cells[0].cell_type = "raw"
    assert "run `make lessons`" in found(lesson, executed)[0]


def test_an_error_output_is_a_fault_unless_the_lesson_shows_it_on_purpose(lesson, executed):
    error = new_output("error", ename="ValueError", evalue="no", traceback=["no"])
    executed.cells[1].outputs = [error]
    assert found(lesson, executed) == ["cell 1 ended in an error"]
    lesson.source.write_text(SOURCE.replace('output"]', 'output", "raises-exception"]'), encoding="utf-8")
    executed.cells[1].metadata.tags.append("raises-exception")
    assert found(lesson, executed) == []


def test_saved_widget_models_are_a_fault_and_cleaning_removes_them(lesson, executed):
    executed.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}
    assert "widget models" in found(lesson, executed)[0]
    assert found(lesson, clean(executed)) == []


def test_a_warning_is_a_fault(lesson, executed):
    executed.cells[1].outputs.append(
        new_output("stream", name="stderr", text="UserWarning: the text\noutgrows\n")
    )
    assert found(lesson, clean(executed)) == ["cell 1 writes to stderr: 'UserWarning: the text'"]


@pytest.mark.parametrize(
    "text",
    ["saved /home/ada/x.txt", "'/tmp/draft'", "(/Users/ada)", f"{ROOT}/data", r"C:\Users\ada\x", "/root"],
)
def test_a_path_of_one_machine_is_a_fault(lesson, executed, text):
    executed.cells[1].outputs = [shown(text, "text/html")]
    assert "shows a path of one machine" in found(lesson, executed)[0]


@pytest.mark.parametrize(
    "text", ["../runs/03", "https://example.org/home/x", "1/tmp", "</root>", "a/home/b", "/homely"]
)
def test_what_only_looks_like_a_path_of_one_machine_is_none(lesson, executed, text):
    executed.cells[1].outputs = [shown(text, "text/html")]
    assert found(lesson, executed) == []


def changed(lesson, old, new):
    """The faults once the lesson's text has changed and its notebook was built anew."""
    lesson.source.write_text(lesson.source.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return found(lesson, run(lesson))


def test_too_few_exercises_are_a_fault_except_in_the_welcome(lesson, tmp_path):
    without = EXERCISE.format(name="three")
    assert changed(lesson, without, "") == [f"it has 2 exercises and needs {EXERCISES}"]
    welcome = Lesson(lesson.source.rename(tmp_path / "00_welcome.py"), tmp_path / "00_welcome.ipynb")
    assert found(welcome, run(welcome)) == []


@pytest.mark.parametrize(
    "old, new, told",
    [
        ('solution("two", two)', "", "'two' calls exercise, check;"),
        ('exercise("two", 3, hints=("Count.",))', "", "'two' calls check, solution;"),
        ('"two"', '"one"', "'one' calls exercise, check, solution, exercise, check, solution;"),
    ],
)
def test_an_exercise_is_told_checked_and_solved_once(lesson, old, new, told):
    assert any(fault.startswith(told) for fault in changed(lesson, old, new))


@pytest.mark.parametrize("tag", ["key", "exercise", "solution"])
def test_a_cell_of_an_exercise_without_its_tag_is_a_fault(lesson, tag):
    assert f"tag it {tag}" in changed(lesson, f' tags=["{tag}"]', "")[0]

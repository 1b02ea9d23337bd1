"""The house as docs/architecture.md draws it: the contracts of pyproject.toml hold, and `import minilm` is light."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parents[1]
LONGEST_MODULE, LONGEST_FUNCTION = 300, 35
FILES = sorted(chain((ROOT / "minilm").rglob("*.py"), (ROOT / "lessons").rglob("*.py")))
EVERYTHING = {
    str(file.relative_to(ROOT)): file
    for file in FILES
    if not (file.parent.name == "lessons" and file.name[0].isdigit())
}


def test_the_contracts_of_the_house_hold(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename="pyproject.toml", no_cache=True, is_debug_mode=False) == 0


def test_the_root_holds_three_modules():
    assert {file.name for file in (ROOT / "minilm").glob("*.py")} == {"__init__.py", "cli.py", "doctor.py"}


def test_the_drawing_is_up_to_date():
    page = ROOT / "docs" / "architecture.md"
    draw = runpy.run_path(str(ROOT / "docs" / "draw.py"))
    text = page.read_text(encoding="utf-8")
    assert draw["page"](text) == text, "run `python docs/draw.py`"


def test_importing_minilm_loads_what_its_core_stands_on_and_no_more():
    code = """
import sys, torch, numpy, regex, safetensors.torch, jaxtyping
before = set(sys.modules)
import minilm
new = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print(*sorted(new))
"""
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == ["minilm"]


@cache
def tree(name: str) -> ast.Module:
    """The syntax of a file."""
    return ast.parse(EVERYTHING[name].read_text(encoding="utf-8"))


def definitions(name: str) -> Iterator[tuple[str, ast.AST]]:
    """Functions, classes and methods of a file, with their qualified names; local functions are not listed."""
    queue = [(name, node) for node in tree(name).body]
    for prefix, node in queue:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield f"{prefix}:{node.name}", node
        if isinstance(node, ast.ClassDef):
            queue += [(f"{prefix}:{node.name}", child) for child in node.body]


def is_public(qualified: str) -> bool:
    """Whether no part of the name starts with an underscore."""
    return not any(part.startswith("_") for part in qualified.split(":")[1:])


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_module_is_short_and_says_what_it_is_for(name):
    text = EVERYTHING[name].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_MODULE
    assert ast.get_docstring(tree(name)) or not tree(name).body


def test_every_public_name_is_explained():
    """A method may leave it to the method that it overrides or implements, found by its name."""
    named = dict(chain.from_iterable(map(definitions, EVERYTHING)))
    explained = {node.name for node in named.values() if ast.get_docstring(node)}
    is_method = {child for node in named.values() for child in node.body if isinstance(node, ast.ClassDef)}
    silent = [name for name, node in named.items() if is_public(name) and not ast.get_docstring(node)]
    assert [name for name in silent if not (named[name] in is_method and named[name].name in explained)] == []


def test_functions_are_short():
    named = chain.from_iterable(map(definitions, EVERYTHING))
    functions = {name: node for name, node in named if isinstance(node, ast.FunctionDef)}
    assert {name: n for name, node in functions.items() if (n := n_line(node)) > LONGEST_FUNCTION} == {}


def n_line(function: ast.FunctionDef) -> int:
    """Lines of a function's body, its docstring not counted."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0

"""The house as docs/architecture.md draws it: arrows point down, nothing goes in circles, `import minilm` is light.

Read from the syntax trees of all modules, so an import inside a function counts like one at the top.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST_MODULE, LONGEST_FUNCTION = 300, 35

FLOORS = (
    {"config", "devices", "files", "pretokenization", "bpe", "tokenizer_format", "tokenizer"},
    {"attention", "cache", "sites", "model", "objectives", "decoding", "generation", "trace"}
    | {"gpt2_format", "checkpoint"},
)
"""Names directly below `minilm`, from the ground up; what is not listed stands on the floor above these."""
ROOF = {"cli", "__main__"}
FOREIGN = {
    "lessons",
    "notebooks",
    "IPython",
    "ipywidgets",
    "matplotlib",
    "pandas",
    "nbformat",
    "jupyter_client",
}
"""What belongs to the lessons: the library never imports it, not even in a function."""


def modules(package: str) -> dict[str, Path]:
    """Dotted name -> file of every module of a package; a package goes by its own name."""
    files = sorted((ROOT / package).rglob("*.py"))
    return {".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): f for f in files}


LIBRARY = modules("minilm")
LESSONS = {name: file for name, file in modules("lessons").items() if not file.name[0].isdigit()}
EVERYTHING = {**LIBRARY, **LESSONS}


@cache
def tree(name: str) -> ast.Module:
    """The syntax of a module."""
    return ast.parse(EVERYTHING[name].read_text(encoding="utf-8"))


@cache
def imports(name: str) -> list[str]:
    """Dotted names of what a module imports; `from a import b` is `a.b` where that is a module, else `a`."""
    return list(targets(name))


def targets(name: str) -> Iterator[str]:
    """The same, one after the other."""
    package = name if EVERYTHING[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in running(tree(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *filter(None, [node.module])])
            yield from (m if (m := f"{base}.{alias.name}") in EVERYTHING else base for alias in node.names)


def running(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes, save those under `if TYPE_CHECKING`, which are for the eye and never run."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    yield from chain.from_iterable(map(running, ast.iter_child_nodes(node)))


def floor(module: str) -> int:
    """How high a module of the library stands; `minilm` itself, which shows the rest, stands at the top."""
    room = module.split(".")[1] if "." in module else ""
    if not room or room in ROOF:
        return len(FLOORS) + 1
    return next((level for level, rooms in enumerate(FLOORS) if room in rooms), len(FLOORS))


def definitions(name: str) -> Iterator[tuple[str, ast.AST]]:
    """Functions, classes and methods of a module, with their qualified names; what is local to a function is not listed."""
    queue = [(name, node) for node in tree(name).body]
    for prefix, node in queue:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield f"{prefix}.{node.name}", node
        if isinstance(node, ast.ClassDef):
            queue += [(f"{prefix}.{node.name}", child) for child in node.body]


def is_public(qualified: str) -> bool:
    """Whether no part of the name starts with an underscore."""
    return not any(part.startswith("_") for part in qualified.split("."))


def arrows() -> Iterator[tuple[str, str]]:
    """(importing, imported) modules of the library."""
    return ((name, target) for name in LIBRARY for target in imports(name) if target in LIBRARY)


def test_arrows_point_down():
    assert [f"{a} -> {b}" for a, b in arrows() if floor(a) < floor(b)] == []


def test_nothing_goes_in_circles():
    for package in (LIBRARY, LESSONS):
        graph = {name: {target for target in imports(name) if target in package} for name in package}
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            pytest.fail(" -> ".join(error.args[1]))


def test_the_library_knows_nothing_of_the_lessons_and_their_tools():
    assert [
        (name, target) for name in LIBRARY for target in imports(name) if target.split(".")[0] in FOREIGN
    ] == []


def test_views_are_pure():
    views = [name for name in LESSONS if name.startswith("lessons.widgets.views")]
    tools = {"ipywidgets", "IPython", "traitlets"}
    assert [
        (name, target) for name in views for target in imports(name) if target.split(".")[0] in tools
    ] == []


def test_importing_minilm_loads_what_its_core_stands_on_and_no_more():
    code = """
import sys, torch, numpy, regex, safetensors.torch
before = set(sys.modules)
import minilm
new = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print(*sorted(new))
"""
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == ["minilm"]


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_module_is_short_and_says_what_it_is_for(name):
    text = EVERYTHING[name].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_MODULE
    assert ast.get_docstring(tree(name)) or not tree(name).body


def test_every_public_name_is_explained():
    """A method may leave it to the one that it overrides or implements, found by its name."""
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

"""Draws the house in docs/architecture.md: rooms from pyproject's contract, a line for each file from its docstring.

python docs/draw.py        rewrites the two blocks between the markers
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
LESSONS = ("lessons", "lessons/widgets", "lessons/widgets/views")


def layers() -> list[list[str]]:
    """The rooms of `minilm/` from the roof to the ground; those of one floor together."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]
    return [layer.replace(":", " ").split() for layer in contract["layers"]]


def says(path: Path) -> str:
    """The first sentence of a file's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    text = " ".join(docstring.split("\n\n")[0].split())
    return re.split(r"(?<!et al)[.?!] (?=[A-Z])", text)[0].rstrip(".")


def drawing() -> str:
    """One line a room: its name and what its `__init__` says."""
    lines = ["notebooks/        lessons as they are read: executed, with their outputs"]
    lines += ["  |", "lessons/          lessons as they are written; widgets, exercises, sizes", "  |"]
    for floor in layers():
        lines += [f"{_room(name):<18}{says(_file(name))}" for name in floor]
    return "```\n" + "\n".join(lines) + "\n```"


def _room(name: str) -> str:
    return f"  {name}/" if (ROOT / "minilm" / name).is_dir() else f"  {name}.py"


def _file(name: str) -> Path:
    folder = ROOT / "minilm" / name
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def tree() -> str:
    """Every file of the library and of the lessons' tools, with the first sentence of its docstring."""
    rooms = [f"minilm/{name}" for floor in layers() for name in floor]
    lines: list[str] = []
    for room in ["minilm", *rooms, *LESSONS]:
        folder = ROOT / room
        if folder.is_dir():
            lines += _listing(folder, deep=room not in ("minilm", *LESSONS))
    return "```\n" + "\n".join(lines) + "\n```"


def _listing(folder: Path, deep: bool) -> list[str]:
    """A folder's line, and one for each of its files."""
    files = sorted(folder.rglob("*.py") if deep else folder.glob("*.py"))
    named = [file for file in files if file.name != "__init__.py" and not file.name[0].isdigit()]
    title = f"{folder.relative_to(ROOT)}/"
    about = says(folder / "__init__.py") if (folder / "__init__.py").exists() else ""
    return [f"{title:<34}{about}".rstrip()] + [
        f"  {file.relative_to(folder)!s:<32}{says(file)}" for file in named
    ]


def page(text: str) -> str:
    """The page with both blocks drawn anew."""
    for name, block in {"drawing": drawing(), "tree": tree()}.items():
        start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(start)
        text = f"{before}{start}\n{block}\n{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

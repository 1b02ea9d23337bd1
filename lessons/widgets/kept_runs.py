"""Runs on disk: a run's settings and curves beside its weights, so that it can be compared with later runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from minilm.system.atomic import atomic_file
from minilm.training import TrainingResult

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FILE = "run.json"

S = TypeVar("S", bound="DataclassInstance")
T = TypeVar("T")


@dataclass(frozen=True)
class _Saved:
    """What the file holds."""

    lab: str
    settings: dict[str, Any]
    result: TrainingResult


def check_folder(folder: str) -> Path:
    """The folder as an absolute path, if a run may be written there.

    Raises:
        ValueError: there is no name, or the folder holds something else than a saved run.
    """
    if not folder.strip():
        raise ValueError("the folder has no name: write one, such as my-run")
    path = Path(folder).expanduser().resolve()
    if path.exists() and not (path / FILE).is_file():
        raise ValueError(f"{folder} holds something else than a run: choose another folder")
    return path


def check_foreign(folder: Path, write: Callable[[Path], None]) -> None:
    """Refuse a folder that holds more than a run: saving a model may replace the whole folder.

    Args:
        write: writes the model's files into a folder; tried on a temporary one, to learn their names.

    Raises:
        ValueError: the folder holds other files, such as a reader's notes.
    """
    if not folder.exists():
        return
    with TemporaryDirectory() as trial:
        write(Path(trial))
        own = {FILE, *(each.name for each in Path(trial).iterdir())}
    names = {each.name for each in folder.iterdir() if not each.name.startswith(".minilm-")}
    if foreign := sorted(names - own):
        raise ValueError(
            f"{folder.name} also holds {', '.join(foreign)}, which is not part of a run: move it away, or choose "
            "another folder"
        )


def write_run(folder: Path, settings: DataclassInstance, result: TrainingResult) -> None:
    """Add settings and curves to a folder that holds the weights."""
    about = {"lab": type(settings).__name__, "settings": asdict(settings), "result": result.as_dict()}
    with atomic_file(folder / FILE) as draft:
        draft.write_text(json.dumps(about), encoding="utf-8")


def read_run(folder: str, kind: type[S]) -> tuple[S, TrainingResult]:
    """What `write_run` wrote.

    Args:
        kind: class of the settings.

    Raises:
        ValueError: there is no run, the file is damaged, or it was written by another lab; the message names file and place.
    """
    path = Path(folder).expanduser() / FILE
    if not folder.strip() or not path.is_file():
        raise ValueError(f"there is no saved run in {folder.strip() or 'a folder without a name'}")
    saved = _parse(_Saved, path.read_bytes(), path)
    if saved.lab != kind.__name__:
        raise ValueError(f"the run in {folder} was made with {saved.lab}, not {kind.__name__}")
    if not saved.result.records:
        raise ValueError(f"{path} is damaged at result.records: there is no step; save that run again")
    return _parse(kind, json.dumps(saved.settings).encode(), path, "settings"), saved.result


def _parse(kind: type[T], text: bytes, path: Path, *place: str) -> T:
    """An object from the JSON at a place of a file. Raises ValueError if a field is missing or of another type."""
    try:
        return TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, (*place, *first["loc"]))) or "its beginning"
        raise ValueError(f"{path} is damaged at {where}: {first['msg']}; save that run again") from None

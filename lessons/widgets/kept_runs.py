"""Runs on disk: beside its weights, a run's settings and curves, so that it can be compared with later ones."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from minilm.checkpoints.tensors import CheckpointError, read_json
from minilm.system.atomic import atomic_file
from minilm.training import EvaluationRecord, StepRecord, TrainingResult

FILE = "run.json"


def check_folder(folder: str) -> Path:
    """The folder, if a run may be written there.

    Raises:
        ValueError: there is no name, or what stands there is no saved run, which would be lost.
    """
    path = Path(folder).expanduser()
    if not folder.strip():
        raise ValueError("the folder has no name: write one, such as my-run")
    if path.exists() and not (path / FILE).is_file():
        raise ValueError(f"{folder} holds something else than a run: choose another folder")
    return path


def write_run(folder: Path, settings: Any, result: TrainingResult) -> None:
    """Add settings (a dataclass) and curves to a folder that holds the weights."""
    about = {"lab": type(settings).__name__, "settings": asdict(settings), "result": result.as_dict()}
    with atomic_file(folder / FILE) as draft:
        draft.write_text(json.dumps(about), encoding="utf-8")


def read_run(folder: str, kind: type) -> tuple[Any, TrainingResult]:
    """What `write_run` wrote.

    Args:
        kind: class of the settings.

    Raises:
        ValueError: there is no run, it cannot be read, or it is one of another lab.
    """
    path = Path(folder).expanduser() / FILE
    if not folder.strip() or not path.is_file():
        raise ValueError(f"there is no saved run in {folder.strip() or 'a folder without a name'}")
    about = parse(path)
    if about["lab"] != kind.__name__:
        raise ValueError(f"the run in {folder} was made with {about['lab']}, not {kind.__name__}")
    told = about["result"]
    records = [StepRecord(**each) for each in told.pop("records")]
    evaluations = [EvaluationRecord(**each) for each in told.pop("evaluations")]
    return kind(**about["settings"]), TrainingResult(records=records, evaluations=evaluations, **told)


def parse(path: Path) -> dict[str, Any]:
    """What stands in the file, with all that a run has."""
    try:
        about = read_json(path)
    except CheckpointError as error:
        raise ValueError(f"{path} is damaged: save that run again") from error
    if missing := {"lab", "settings", "result"} - set(about):
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}: save that run again")
    return about

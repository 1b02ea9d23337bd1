"""A run's records, as lines of JSON beside its checkpoint: lines are added, never written again.

    {"format": "minilm history", "columns": ["step", "loss", ...]}      the first line
    [1, 2.83, ...]                                                      a step
    {"step": 100, "loss": 2.1, "sample": "..."}                         an evaluation

The checkpoint says which file is its history, how many of its bytes count, and their SHA-256. Lines are written before the
checkpoint that counts them; what a killed run left beyond them, a torn line too, is cut off when the next lines are added.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from minilm.system.errors import CheckpointError, SaveError
from minilm.training.records import EvaluationRecord, Records, TrainingResult

FORMAT = "minilm history"
COLUMNS = ("step", "loss", "learning_rate", "gradient_norm", "tokens_per_second", "seconds")
"""Fields of `StepRecord` in the order of a line; how many steps there are in all is the run's, not the line's."""
CHUNK = 10_000
"""Lines written or read at once."""
ADVICE = "restore it, or start again with resume=False"


class History:
    """One history file: what of it counts, and what still has to be added.

    Args:
        taken: name of a history in the folder that must be left as it is, because a checkpoint counts on it.
    """

    def __init__(self, folder: Path, taken: str | None = None):
        self.folder, self.path = folder, free_place(folder, taken)
        self.n_byte, self.n_step, self.n_evaluation = 0, 0, 0
        self.sha256 = hashlib.sha256()

    def add(self, result: TrainingResult) -> None:
        """Add the lines of what is new in a result since the last call.

        Raises:
            SaveError: the disk is full or not writable; what counted before still does.
        """
        lines = chunks(self.n_byte == 0, result, self.n_step, self.n_evaluation)
        sha256, n_byte = self.sha256.copy(), self.n_byte
        try:
            if not n_byte:
                self.path.unlink(missing_ok=True)  # what an abandoned history left
            with open(self.path, "r+b" if n_byte else "xb") as file:
                file.seek(n_byte)
                file.truncate()
                for chunk in lines:
                    sha256.update(chunk)
                    n_byte += file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SaveError(
                f"could not save {self.path}: {error}; the previous checkpoint is intact"
            ) from error
        self.sha256, self.n_byte = sha256, n_byte
        self.n_step, self.n_evaluation = len(result.records), len(result.evaluations)

    def mark(self) -> dict[str, Any]:
        """What the checkpoint says of it."""
        return {
            "file": self.path.name,
            "bytes": self.n_byte,
            "sha256": self.sha256.hexdigest(),
            "steps": self.n_step,
            "evaluations": self.n_evaluation,
        }

    def remove_others(self) -> None:
        """Delete the histories in the folder that no checkpoint counts on any more."""
        for path in self.folder.glob("history-*.jsonl"):
            if path != self.path and is_history(path):
                path.unlink(missing_ok=True)


def read_history(
    folder: Path, mark: dict[str, Any], steps: int
) -> tuple[History, Records, list[EvaluationRecord]]:
    """The history that a checkpoint counts on, to be added to, with its records.

    Args:
        steps: of how many steps the run is.

    Raises:
        CheckpointError: the file is missing, shortened or changed, or has a newer layout.
    """
    history = History.__new__(History)
    history.folder, history.path = folder, folder / Path(mark["file"]).name
    history.n_byte, history.n_step, history.n_evaluation = mark["bytes"], mark["steps"], mark["evaluations"]
    history.sha256 = hashlib.sha256()
    try:
        with open(history.path, "rb") as file:
            for chunk in counted(file, mark["bytes"]):
                history.sha256.update(chunk)
            if history.sha256.hexdigest() != mark["sha256"]:
                raise CheckpointError(
                    f"{history.path} is damaged: its first {mark['bytes']:,} bytes are not those that were written; {ADVICE}"
                )
            file.seek(0)
            return history, *parse(file, mark, steps)
    except OSError as error:
        raise CheckpointError(
            f"{history.path}, the history of the checkpoint beside it, cannot be read ({error.strerror}): {ADVICE}"
        ) from None


def counted(file: BinaryIO, n_byte: int) -> Iterator[bytes]:
    """The first bytes of a file, a piece at a time."""
    while n_byte > 0 and (chunk := file.read(min(n_byte, 2**20))):
        n_byte -= len(chunk)
        yield chunk


def parse(file: BinaryIO, mark: dict[str, Any], steps: int) -> tuple[Records, list[EvaluationRecord]]:
    """Records from the lines of a history, as far as they count."""
    records, evaluations, rows = Records(), [], []
    columns = json.loads(file.readline()).get("columns")
    if columns != list(COLUMNS):
        raise CheckpointError(
            f"{file.name} has columns {columns}: it was written by another version of minilm; use that one"
        )
    place = file.tell()
    while place < mark["bytes"]:
        line = file.readline()
        place += len(line)
        if line.startswith(b"["):
            rows.append(line)
        else:
            evaluations.append(EvaluationRecord(**json.loads(line)))
        if len(rows) == CHUNK or place >= mark["bytes"]:
            records.extend(json.loads(b"[" + b",".join(rows) + b"]"), COLUMNS, steps)
            rows.clear()
    return records, evaluations


def chunks(is_first: bool, result: TrainingResult, n_step: int, n_evaluation: int) -> Iterator[bytes]:
    """The first line, where it is missing; then those of the steps and evaluations beyond so many, many lines at a time."""
    if is_first:
        yield as_line({"format": FORMAT, "columns": COLUMNS})
    for start in range(n_step, len(result.records), CHUNK):
        rows = [*Records(result.records[start : start + CHUNK]).rows(COLUMNS)]
        yield json.dumps(rows)[1:-1].replace("], [", "]\n[").encode() + b"\n"
    for evaluation in result.evaluations[n_evaluation:]:
        yield as_line(asdict(evaluation))


def as_line(content: dict[str, Any]) -> bytes:
    """One line of JSON."""
    return json.dumps(content).encode() + b"\n"


def free_place(folder: Path, taken: str | None) -> Path:
    """A name that is free, or that an abandoned history has."""
    number = 1
    while True:
        path = folder / f"history-{number}.jsonl"
        if not os.path.lexists(path) or (path.name != taken and is_history(path)):
            return path
        number += 1


def is_history(path: Path) -> bool:
    """Whether a file, not a link, begins as a history does: one whose first line was cut short is one too."""
    start = json.dumps({"format": FORMAT})[:-1].encode()
    try:
        with open(path, "rb") as file:
            return not path.is_symlink() and start.startswith(file.read(len(start)))
    except OSError:
        return False

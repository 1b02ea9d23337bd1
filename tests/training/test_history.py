"""A run's records stand beside its checkpoint: added to at a constant cost, cut where they do not count, checked."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.checkpoints.tensors import CheckpointError, read_tensors
from minilm.system.atomic import SaveError
from minilm.training import (
    Callback,
    EvaluationRecord,
    Records,
    StepRecord,
    TrainingConfig,
    TrainingResult,
    train,
)
from minilm.training import history as history_module
from minilm.training.early_stopping import BestWeights
from minilm.training.history import COLUMNS, History, read_history

MILLION = 1_000_000


def record(step: int, steps: int = MILLION) -> StepRecord:
    """A record with all digits that a float may have."""
    return StepRecord(
        step, steps, 2.3 + step / 7e6, 0.003 / step, 1.1 + step / 3e6, 12345.6789, step * 0.0123
    )


numbers = st.floats(allow_nan=True, allow_infinity=True)
record_lists = st.lists(
    st.builds(
        StepRecord,
        step=st.integers(1, 2**60), steps=st.just(9), loss=numbers, learning_rate=numbers,
        gradient_norm=numbers, tokens_per_second=numbers, seconds=numbers,
    ),
    max_size=6,
)  # fmt: skip
texts = st.text() | st.just("a line\nanother\r\u2028 third \ud800")
evaluation_lists = st.lists(
    st.builds(EvaluationRecord, step=st.integers(0), loss=numbers | st.none(), sample=texts | st.none()),
    max_size=4,
)


@settings(deadline=None, max_examples=40)
@given(
    records=record_lists, evaluations=evaluation_lists, cut=st.integers(0, 6), junk=st.binary(max_size=400)
)
def test_what_was_added_in_parts_comes_back_whatever_stands_behind_it(
    tmp_path_factory, records, evaluations, cut, junk
):
    folder = tmp_path_factory.mktemp("run")
    written = History(folder)
    written.add(TrainingResult(records=Records(records[:cut]), evaluations=evaluations[:cut]))
    written.add(TrainingResult(records=Records(records), evaluations=evaluations))
    with open(written.path, "ab") as file:
        file.write(junk)  # what a killed process had begun to add
    again, found, looks = read_history(folder, written.mark(), steps=9)
    assert repr([*found]) == repr(records) and repr(looks) == repr(evaluations)  # repr: NaN equals nothing
    more = TrainingResult(records=Records([*records, record(8)]), evaluations=evaluations)
    again.add(more)
    assert again.path.stat().st_size == again.mark()["bytes"]
    assert repr([*read_history(folder, again.mark(), 9)[1]]) == repr([*records, record(8, 9)])


@settings(deadline=None)
@given(records=record_lists, start=st.integers(-8, 8), stop=st.integers(-8, 8))
def test_records_are_a_sequence_like_a_list(records, start, stop):
    kept = Records(records)
    assert repr([*kept]) == repr(records) and len(kept) == len(records)
    assert repr([*kept[start:stop]]) == repr(records[start:stop])
    snapshot = kept.copy()
    kept.append(record(1))
    assert len(snapshot) == len(records) and kept[-1] == record(1)


def test_records_equal_lists_of_the_same():
    assert Records([record(1), record(2)]) == [record(1), record(2)]
    assert Records([record(1)]) != [record(2)] and Records([record(1)]) != [] and Records() != "no records"


@pytest.fixture(scope="module")
def million() -> Records:
    """A million step records."""
    numbers = [record(step) for step in range(1, 1001)]
    rows = [(number.loss, 0.003, number.gradient_norm, 12345.6789, number.seconds) for number in numbers]
    records = Records()
    for start in range(0, MILLION, 1000):
        records.extend([(start + 1 + place, *row) for place, row in enumerate(rows)], COLUMNS, MILLION)
    return records


class Opened(io.FileIO):
    """A file that counts what is written into it."""

    written = 0

    def write(self, chunk) -> int:
        Opened.written += len(chunk)
        return super().write(chunk)


def checkpoint_cost(model, batches, folder: Path, records: Records, monkeypatch) -> tuple[int, int]:
    """Bytes that the checkpoint after one more step takes, and bytes added to the history for it."""
    from minilm.training.distributed import World
    from minilm.training.identity import Run
    from minilm.training.optimizers import build_optimizers
    from minilm.training.resume import Checkpoint

    cpu = torch.device("cpu")
    optimizers = build_optimizers(model.named_parameters(), "muon", 0.1, 0.1, 0.0, cpu)
    config = TrainingConfig(steps=2 * MILLION)
    folder.mkdir()
    run = Run(model, batches, config, optimizers, BestWeights(model, 0), cpu, World())
    checkpoint = Checkpoint(folder, run)
    checkpoint.save(TrainingResult(len(records), records, seconds=1.0))
    more = records.copy()
    more.append(record(len(records) + 1))
    Opened.written = 0
    monkeypatch.setattr(
        history_module, "open", lambda path, mode: Opened(path, mode.replace("b", "")), raising=False
    )
    checkpoint.save(TrainingResult(len(more), more, seconds=1.0))
    monkeypatch.undo()
    return checkpoint.path.stat().st_size, Opened.written


def test_after_a_million_steps_a_checkpoint_costs_what_it_costs_after_a_thousand(
    model, batches, tmp_path, million, monkeypatch
):
    few, few_added = checkpoint_cost(model, batches, tmp_path / "few", million[:1000], monkeypatch)
    many, many_added = checkpoint_cost(model, batches, tmp_path / "many", million, monkeypatch)
    assert abs(many - few) <= 64  # a number of bytes or of steps has more digits
    assert few_added == pytest.approx(many_added, abs=32) and many_added < 200
    mark = read_tensors(tmp_path / "many" / "checkpoint.safetensors")[1]["history"]
    _, found, _ = read_history(tmp_path / "many", mark, MILLION)
    assert len(found) == MILLION + 1
    assert all(found[place] == million[place] for place in (0, 1, 499_999, MILLION - 1))


@pytest.fixture
def folder(model, batches, tmp_path) -> Path:
    """Of a run that was cut off after three of six steps, the checkpoint being of two."""

    class Cut(Callback):
        def on_step(self, news: StepRecord) -> None:
            if news.step == 3:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        train(
            model, batches, CONFIG, evaluate=lambda _: 1.0, callbacks=[Cut()], progress=False, folder=tmp_path
        )
    return tmp_path


CONFIG = TrainingConfig(steps=6, checkpoint_every=2, evaluate_every=2)


def lines(folder: Path) -> list:
    """The history of a folder, line by line."""
    [path] = folder.glob("history-*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_file_can_be_read_by_anybody(folder):
    first, *rest = lines(folder)
    assert first["columns"][:2] == ["step", "loss"]
    assert [line[0] for line in rest if isinstance(line, list)] == [1, 2]
    assert [line for line in rest if isinstance(line, dict)] == [{"step": 0, "loss": 1.0, "sample": None}]


def test_lines_of_a_killed_run_are_cut_off(model, batches, folder):
    [path] = folder.glob("history-*.jsonl")
    with open(path, "ab") as file:
        file.write(b"[3, 9.9, 9.9, 9.9, 9.9, 9.9]\n[4, 9.9, 9.")
    result = train(model, batches, CONFIG, evaluate=lambda _: 1.0, progress=False, folder=folder)
    steps = [line[0] for line in lines(folder)[1:] if isinstance(line, list)]
    assert steps == [1, 2, 3, 4, 5, 6] == [each.step for each in result.records]
    assert [each.step for each in result.evaluations] == [0, 2, 4, 6]


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda path: path.unlink(), "cannot be read.*No such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is damaged"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"[2,", b"[3,")), "is damaged"),
        (lambda path: path.write_bytes(b""), "is damaged"),
    ],
)
def test_a_damaged_history_is_told(model, batches, folder, damage, complaint):
    [path] = folder.glob("history-*.jsonl")
    damage(path)
    with pytest.raises(CheckpointError, match=f"history-1.jsonl.*{complaint}.*restore it, or start again"):
        train(model, batches, CONFIG, evaluate=lambda _: 1.0, progress=False, folder=folder)
    train(model, batches, CONFIG, evaluate=lambda _: 1.0, progress=False, folder=folder, resume=False)
    assert len(lines(folder)) == 1 + 6 + 4


def test_a_full_disk_leaves_the_checkpoint_and_what_it_counts_on(model, batches, folder, monkeypatch):
    class Full(io.FileIO):
        def write(self, chunk) -> int:
            super().write(bytes(chunk)[:20])
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(
        history_module, "open", lambda path, mode: Full(path, mode.replace("b", "")), raising=False
    )
    kept = (folder / "checkpoint.safetensors").read_bytes()
    with pytest.raises(
        SaveError, match="could not save .*history-2.*No space left.*previous checkpoint is intact"
    ):
        train(model, batches, CONFIG, evaluate=lambda _: 1.0, progress=False, folder=folder, resume=False)
    monkeypatch.undo()
    assert (folder / "checkpoint.safetensors").read_bytes() == kept
    result = train(model, batches, CONFIG, evaluate=lambda _: 1.0, progress=False, folder=folder)
    assert [each.step for each in result.records] == [1, 2, 3, 4, 5, 6]


def test_beginning_anew_needs_a_new_history_and_leaves_no_old_one(model, batches, folder):
    notes = folder / "history-of-my-life.jsonl"
    notes.write_text("{}\n")
    train(model, batches, CONFIG, evaluate=lambda _: 1.0, progress=False, folder=folder, resume=False)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["checkpoint.safetensors", "history-2.jsonl", "history-of-my-life.jsonl"]


def test_a_planted_link_is_neither_followed_nor_replaced(tmp_path):
    victim = tmp_path / "victim.txt"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "history-1.jsonl").symlink_to(victim)
    History(tmp_path / "run").add(TrainingResult(records=Records([record(1)])))
    assert not victim.exists() and (tmp_path / "run" / "history-1.jsonl").is_symlink()
    assert (tmp_path / "run" / "history-2.jsonl").is_file()


def test_a_history_of_other_columns_is_refused(tmp_path):
    written = History(tmp_path)
    written.add(TrainingResult(records=Records([record(1)])))
    content = written.path.read_bytes().replace(b'"seconds"', b'"joules"')
    written.path.write_bytes(content)
    import hashlib

    mark = written.mark() | {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    with pytest.raises(CheckpointError, match="'joules'.*another version of minilm"):
        read_history(tmp_path, mark, 1)

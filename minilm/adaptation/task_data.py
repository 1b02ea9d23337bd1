"""From a data set's name, a file or a list to a task that can be tuned on: read, split, put into tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minilm import datasets
from minilm.adaptation.encoded import EncodedTask
from minilm.adaptation.template import Template, usual_template
from minilm.datasets import Conversation, Record
from minilm.datasets.pairs import Pair, pairs
from minilm.datasets.tasks import TASKS
from minilm.storyworld import StoryWorld
from minilm.text.tokenizer import BPETokenizer

Data = str | Path | Sequence[Any]
"""The name of a data set, the path of a file, or records."""
N_TRAIN, N_HELD_OUT = 2_000, 48
"""Records of each split, by default."""
HELD_OUT_SHARE = 0.1
"""Of records that come without a split of their own."""


def task_from(
    data: Data,
    tokenizer: BPETokenizer,
    *,
    n_train: int = N_TRAIN,
    n_held_out: int = N_HELD_OUT,
    held_out: Sequence[Any] | None = None,
    template: Template | None = None,
    columns: tuple[str, str] | None = None,
    **options: Any,
) -> EncodedTask:
    """A task in the tokens of a model.

    Args:
        data: the name of a data set with splits, such as "storyworld-triples"; a CSV, TSV or JSON Lines file; records,
            or rows of a table, or texts to be written without a prompt.
        n_train, n_held_out: the most records of each split.
        held_out: records to judge by; None takes the data set's dev split, or the last tenth of all others.
        template: the marks around prompt and target; None takes the usual one for such records.
        columns: of a table, those that hold prompt and target.
        options: options of a task that is made from stories, as its card lists them.

    Raises:
        ValueError: no such data set, columns or options, a running text, or an empty split.
        FileNotFoundError: there is no such file.
    """
    name = str(data) if isinstance(data, str | Path) else "the data"
    training, judged = splits(data, n_train, n_held_out, options)
    training = as_records(training, columns, name)
    if held_out is not None:
        judged = held_out
    judged = as_records(judged, columns, name) if len(judged) else []
    if held_out is None and not judged:
        training, judged = cut(training, n_held_out, name)
    records = tuple(training[:n_train])
    if not records:
        raise ValueError(f"{name} holds no record: there is nothing to tune on")
    usual = usual_template(records[0])
    law = law_of(data, options) if held_out is None and template in (None, usual) else None
    return EncodedTask(records, tuple(judged[:n_held_out]), tokenizer, template or usual, name, law)


def law_of(data: Data, options: Mapping[str, Any]) -> StoryWorld | None:
    """The world whose documents the dev split of a task is; None for data of which no such world is known."""
    task = TASKS.get(data) if isinstance(data, str) else None
    return None if task is None else task(**options).law("dev")


def splits(data: Data, n_train: int, n_held_out: int, options: Mapping[str, Any]) -> tuple[Any, Any]:
    """Training records and held-out records; the latter are empty if the data has no splits."""
    if not isinstance(data, str | Path):
        if options:
            raise ValueError(
                f"{', '.join(options)}: records have no such option; only named data sets have options"
            )
        return data, []
    if str(data) not in datasets.names():
        return datasets.load(data, **options), []
    sizes = {"train": n_train, "dev": n_held_out}
    training, judged = (split_of(str(data), split, n, options) for split, n in sizes.items())
    return training, judged


def split_of(name: str, split: str, n: int, options: Mapping[str, Any]) -> str | list[Any]:
    """The first n records of a split of a data set; ValueError for a running text."""
    try:
        return datasets.load(name, split, n=n, **options)
    except datasets.DataError:
        raise
    except ValueError as error:
        if "running text" not in str(error):
            raise
        raise ValueError(f"{name} is one running text: pretrain on it, or tune on records") from None


def as_records(data: Any, columns: tuple[str, str] | None, name: str) -> list[Record]:
    """Records, rows, conversations or texts as records.

    Raises:
        ValueError: it is one running text, or holds something else.
    """
    if isinstance(data, str):
        raise ValueError(
            f"{name} is one running text: give records, or a table with a prompt and a target in each row"
        )
    items = list(data)
    if items and all(isinstance(item, Mapping) for item in items):
        return list(pairs(items, columns, name))
    if columns is not None:
        raise ValueError(f"columns={columns!r} belongs to tables, and {name} is not one: leave it out")
    return [record for number, item in enumerate(items) for record in record_of(item, number, name)]


def record_of(item: Any, number: int, name: str) -> list[Record]:
    """The record or records that one item describes."""
    if isinstance(item, Record):
        return [item]
    if isinstance(item, Conversation):
        return list(item.questions())
    if isinstance(item, str):
        return [Pair("", item)]
    raise ValueError(
        f"item {number} of {name} must be a record, a row or a text, not {type(item).__name__}: see minilm.datasets"
    )


def cut(records: list[Record], n_held_out: int, name: str) -> tuple[list[Record], list[Record]]:
    """All but the last tenth, and the last tenth: at least one record each.

    Raises:
        ValueError: there are fewer than two.
    """
    if len(records) < 2:
        raise ValueError(
            f"{name} has {len(records)} records: tuning needs at least two, one to learn from and one held out"
        )
    n = min(n_held_out, max(1, round(HELD_OUT_SHARE * len(records))))
    return records[:-n], records[-n:]

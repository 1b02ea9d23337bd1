"""Kept states under everything that happens to files: a row is right, or it is computed again."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from minilm import MiniLM
from minilm.system.atomic import SaveError
from minilm.training.optimizers import build_optimizers
from minilm.tuning import Auxiliary, CachedBase, attach
from minilm.tuning.state_store import RowStore
from tests.tuning.conftest import attach_and_stir

SHAPE = (50,)


def key_of(number: int) -> bytes:
    return number.to_bytes(32, "big")


def row_of(number: int) -> Tensor:
    return torch.full(SHAPE, float(number))


def store_in(folder: Path, **options) -> RowStore:
    return RowStore(SHAPE, torch.float32, folder=folder, about={"made": "here"}, **options)


def n_right(store: RowStore, n: int) -> int:
    """How many of the first n rows are there; none may be wrong."""
    found = store.get([key_of(number) for number in range(n)])
    assert all(torch.equal(row, row_of(int.from_bytes(key, "big"))) for key, row in found.items())
    return len(found)


@pytest.fixture
def tuned(base):
    return attach_and_stir(base, Auxiliary(d_model=8, n_layer=1, n_head=2))


@pytest.mark.parametrize("memory_limit", [0, 2**20])
def test_two_stores_on_one_folder_read_each_others_rows(tmp_path, memory_limit):
    one, other = (store_in(tmp_path, memory_limit=memory_limit) for _ in range(2))
    for number in range(0, 20, 2):
        one[key_of(number)] = row_of(number)
        other[key_of(number + 1)] = row_of(number + 1)
    for store in (one, other, store_in(tmp_path)):
        assert n_right(store, 20) == len(store) == 20


def test_two_caches_on_one_folder_give_the_same_logits(tuned, tmp_path):
    texts = torch.randint(40, (12, 1, 9), generator=torch.Generator().manual_seed(0))
    one, other = CachedBase(tuned, 9, tmp_path), CachedBase(tuned, 9, tmp_path)
    for text, next_text in zip(texts[::2], texts[1::2], strict=True):
        one(text), other(next_text)
    for cached in (one, other):
        for text in texts:
            torch.testing.assert_close(cached(text).logits, tuned(text).logits, atol=1e-5, rtol=1e-5)


def in_another_process(work) -> int:
    """The number of a process that runs a function and ends."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return process


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that share what is open")
def test_several_processes_on_one_folder(tmp_path):
    """They are forked off while the parent has the file open, which its connections must not notice."""
    parent = store_in(tmp_path, memory_limit=0)
    parent[key_of(0)] = row_of(0)

    def work(start: int) -> None:
        for number in range(start, 60, 2):
            parent[key_of(number)] = row_of(number)
            assert n_right(parent, number) > 0

    children = [in_another_process(lambda start=start: work(start)) for start in (1, 2)]
    work(30)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert n_right(parent, 60) == n_right(store_in(tmp_path), 60) == 60


def test_several_threads_on_one_store(tmp_path):
    store = store_in(tmp_path, memory_limit=10 * 200)

    def work(start: int) -> int:
        for number in range(start, 40, 4):
            store[key_of(number)] = row_of(number)
            n_right(store, 40)
        return number

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert n_right(store, 40) == 40


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be killed")
def test_a_kill_while_writing_loses_at_most_what_was_being_written(tmp_path):
    rng, written = random.Random(0), tmp_path / "written"
    for _ in range(12):

        def work() -> None:
            store = store_in(tmp_path, memory_limit=0)
            for number in range(len(store), 10**6):
                store[key_of(number)] = row_of(number)
                written.write_text(str(number))

        child = in_another_process(work)
        time.sleep(rng.uniform(0.002, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        n = len(store_in(tmp_path))
        assert n_right(store_in(tmp_path), n) == n
        assert n > int(written.read_text() or 0) if written.exists() else n >= 0


def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path):
    store = store_in(tmp_path, memory_limit=0)
    for number in range(5):
        store[key_of(number)] = row_of(number)
    database = store.file._connection()
    n_page = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {n_page}")  # SQLite's own way of being full
    with pytest.raises(SaveError, match="could not write .*full; what it held before is intact"):
        store.put({key_of(number): row_of(number) for number in range(5, 200)})
    assert n_right(store, 200) == n_right(store_in(tmp_path), 200) == 5
    database.execute("PRAGMA max_page_count = 1000000")
    store[key_of(5)] = row_of(5)
    assert n_right(store_in(tmp_path), 200) == 6


def test_training_goes_on_when_the_disk_is_full(tuned, tokens, tmp_path, monkeypatch):
    cached = CachedBase(tuned, 9, tmp_path)

    def full(rows):
        raise SaveError("could not write states.sqlite: the disk is full")

    monkeypatch.setattr(cached.rows, "put", full)
    with pytest.warns(UserWarning, match="disk is full; training continues"):
        logits = cached(tokens).logits
    torch.testing.assert_close(logits, tuned(tokens).logits, atol=1e-5, rtol=1e-5)


def test_a_bit_flip_anywhere_gives_no_wrong_row(tmp_path):
    store = store_in(tmp_path)
    for number in range(12):
        store[key_of(number)] = row_of(number)
    del store
    file, rng, found, refused = tmp_path / "states.sqlite", random.Random(0), [], 0
    good = file.read_bytes()
    for _ in range(300):
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        file.write_bytes(bad)
        try:
            store = store_in(tmp_path)
            found.append(n_right(store, 12))
            store.put({key_of(number): row_of(number) for number in range(12)})
        except (ValueError, SaveError):
            refused += 1
    assert len(found) + refused >= 300
    assert refused < 60
    assert 12 in found  # in memory that holds nothing
    assert set(found) & {10, 11}  # in a row


def test_a_cut_file_gives_no_wrong_row(tmp_path):
    store = store_in(tmp_path)
    for number in range(12):
        store[key_of(number)] = row_of(number)
    del store
    file = tmp_path / "states.sqlite"
    good = file.read_bytes()
    for size in range(0, len(good), 997):
        file.write_bytes(good[:size] + b"\0" * (len(good) - size) * (size % 2))
        try:
            n_right(store_in(tmp_path), 12)
        except (ValueError, SaveError) as error:
            assert "states.sqlite" in str(error)


def test_a_row_of_another_text_or_of_another_base_is_not_taken(tmp_path):
    """The digest is of the row, of its key, and of what the rows were made from."""
    store = store_in(tmp_path, memory_limit=0)
    for number in range(3):
        store[key_of(number)] = row_of(number)
    with sqlite3.connect(tmp_path / "states.sqlite") as database:
        database.execute("UPDATE rows SET key = ? WHERE key = ?", (key_of(7), key_of(1)))
    assert key_of(7) not in store
    with sqlite3.connect(tmp_path / "states.sqlite") as database:
        database.execute("UPDATE about SET value = '\"there\"' WHERE name = 'made'")
    other = RowStore(SHAPE, torch.float32, folder=tmp_path, about={"made": "there"})
    assert key_of(0) not in other


@pytest.mark.parametrize("content", [b"not a database at all, but some text", b"\0" * 5000])
def test_a_foreign_file_is_refused_and_kept(tmp_path, content):
    file = tmp_path / "states.sqlite"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="states.sqlite is damaged .*: delete it"):
        store_in(tmp_path)
    assert file.read_bytes() == content


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="could not write"):
        store_in(tmp_path / "file")


def test_a_base_that_is_trained_by_a_fused_optimiser_is_noticed(base, tokens):
    """Fused optimisers write into weights without counting it."""
    cached = CachedBase(attach(base, Auxiliary(d_model=8, n_layer=1, n_head=2)))
    cached(tokens)
    (optimizer,) = build_optimizers(base.named_parameters(), "adamw", 0.1, 0.1, 0.0, torch.device("cpu"))
    base(tokens).logits.square().sum().backward()
    optimizer.step()
    with pytest.raises(ValueError, match="weights have changed"):
        cached(tokens)


def test_states_of_a_base_in_train_mode_are_those_without_dropout(base, tokens):
    model = MiniLM(base.config.__class__(**{**vars(base.config), "dropout": 0.5})).train()
    tuned = attach(model, Auxiliary(d_model=8, n_layer=1, n_head=2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cached = CachedBase(tuned)
        torch.testing.assert_close(cached(tokens).logits, tuned(tokens).logits, atol=1e-5, rtol=1e-5)

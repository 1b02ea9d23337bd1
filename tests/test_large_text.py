"""A text too large for memory: the same windows, a bounded evaluation, and the work of the last run kept."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.objectives import NextToken
from minilm.pretraining import RECIPES, TextCorpus, corpus_named, large_text, pretrain
from minilm.text import pieces, sharding
from minilm.text.shards import TokenShards
from minilm.text.tokenizer import BPETokenizer

WORDS = [
    "The",
    "lowest",
    "of",
    "the",
    "low",
    ",",
    "12",
    "naïve",
    "日本",
    "flowers",
    ".\n\n",
    "But",
    "slower",
    "rivers",
    "flow",
    "on",
    "and",
    "on",
]
TEXT = " ".join(random.Random(0).choices(WORDS, k=12_000))


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as large, with many shards and a cache of its own."""
    monkeypatch.setenv("MINILM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pieces, "PIECE", 2000)
    monkeypatch.setattr(sharding, "SHARD", 9000)
    monkeypatch.setattr(large_text, "EVALUATED", 500)
    monkeypatch.setattr("minilm.pretraining.corpus.LARGE", 50_000)
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


# Windows


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 8))
def test_windows_are_the_same_from_a_list_a_tensor_of_any_type_an_array_and_a_file(
    tmp_path_factory, seed, index, length, batch_size
):
    ids = random.Random(seed).choices(range(250), k=500)
    path = tmp_path_factory.getbasetemp() / "tokens.bin"
    np.array(ids, dtype=np.uint16).tofile(path)
    sources = [torch.tensor(ids, dtype=kind) for kind in (torch.uint8, torch.int32, torch.int64)]
    sources += [np.array(ids, dtype=np.uint32), np.memmap(path, np.uint16, "r")]
    expected = NextToken(ids, length, batch_size, seed).batch(index)
    assert expected.tokens.dtype == torch.int64
    for source in sources:
        batch = NextToken(source, length, batch_size, seed).batch(index)
        assert batch.tokens.dtype == batch.targets.dtype == torch.int64
        assert torch.equal(batch.tokens, expected.tokens) and torch.equal(batch.targets, expected.targets)


def test_windows_from_shards_are_those_of_the_text_in_memory(text):
    corpus = corpus_named(str(text), 300)
    assert isinstance(corpus.text, TokenShards) and len(corpus.text.manifest.shards) > 5
    whole = TextCorpus(corpus.tokenizer, corpus.text[:].tolist(), corpus.held_out, corpus.n_byte)
    for seed in range(3):
        on_disk, in_memory = (each.batches(64, 8, seed) for each in (corpus, whole))
        for index in (0, 1, 999):
            assert torch.equal(on_disk.batch(index).tokens, in_memory.batch(index).tokens)
            assert torch.equal(on_disk.batch(index).targets, in_memory.batch(index).targets)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (torch.rand(50), "tokens must be whole token ids, not torch.float32: encode the text first"),
        (np.ones(50) > 0, "not bool"),
        ([0.5] * 50, "not torch.float32"),
        (torch.ones(2, 50, dtype=torch.int64), r"the ids of one text \(time,\), not of shape \(2, 50\)"),
        (np.ones((2, 50), dtype=int), "the ids of one text"),
        ([], "0 tokens is too short"),
    ],
)
def test_what_is_not_a_row_of_token_ids_is_refused(tokens, message):
    with pytest.raises(ValueError, match=message):
        NextToken(tokens, 4, 2)


# The corpus


def test_a_large_file_is_encoded_to_the_same_tokens_as_in_memory(text):
    corpus = corpus_named(str(text), 300)
    size, cut = text.stat().st_size, corpus.text
    first = corpus.tokenizer.decode(cut[:].tolist())
    assert TEXT.startswith(first)
    assert 0.95 <= len(first.encode()) / size < 0.951
    assert corpus.tokenizer.merges == BPETokenizer.train([first], 300).merges
    assert cut[:].tolist() == corpus.tokenizer.encode(first)


def test_an_evaluation_reads_a_bounded_sample_and_always_the_same(text):
    corpus, again = (corpus_named(str(text), 300) for _ in range(2))
    held_out = corpus.tokenizer.encode(TEXT[len(corpus.tokenizer.decode(corpus.text[:].tolist())) :])
    assert 500 - 64 < len(corpus.held_out) <= 500 < len(held_out)
    assert corpus.held_out == again.held_out
    assert corpus.n_byte == len(corpus.tokenizer.decode(corpus.held_out).encode())
    small = TextCorpus.split(TEXT, 300)
    assert len(small.held_out) <= 500
    assert math.isclose(corpus.baseline(), small.baseline(), rel_tol=0.2)


def test_a_second_run_trains_and_encodes_nothing(text, monkeypatch, capsys):
    corpus = corpus_named(str(text), 300)
    assert "Encoding" in capsys.readouterr().out
    monkeypatch.setattr(BPETokenizer, "train", lambda *_, **__: pytest.fail("it trained a tokenizer again"))
    monkeypatch.setattr(sharding, "encode_shard", lambda *_, **__: pytest.fail("it encoded again"))
    again = corpus_named(str(text), 300)
    assert capsys.readouterr().out == ""
    assert again.text.digest == corpus.text.digest


def test_a_changed_text_is_encoded_anew(text):
    corpus = corpus_named(str(text), 300)
    text.write_text(TEXT.replace("12", "21", 1), encoding="utf-8")
    changed = corpus_named(str(text), 300)
    assert changed.text.folder != corpus.text.folder
    assert changed.text.digest != corpus.text.digest


def test_a_model_is_pretrained_on_it_and_counts_its_baseline_once(text, monkeypatch):
    counted = []
    baseline = TextCorpus.baseline
    monkeypatch.setattr(TextCorpus, "baseline", lambda corpus: counted.append(corpus) or baseline(corpus))
    recipe = RECIPES["smoke"].with_changes(data=str(text), vocab_size=300, context_length=32)
    recipe = replace(recipe, training=replace(recipe.training, steps=2, warmup_steps=1, evaluate_every=1))
    done = pretrain(recipe, progress=False)
    assert done.loss > 0
    assert done.yardsticks() == done.yardsticks()
    assert len(counted) == 1

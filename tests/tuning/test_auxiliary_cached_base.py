"""The base run once for each text: the same losses, wherever it is kept, in every epoch."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm import MiniLM, generate, trace
from minilm.objectives import Completions
from minilm.training import TrainingConfig, train
from minilm.tuning import Auxiliary, CachedBase, FullFineTuning, LoRA, Prefix, Side, attach
from minilm.tuning.state_store import RowStore
from tests.tuning.conftest import CONFIG, attach_and_stir

METHODS = {
    "plain": Auxiliary(d_model=8, n_layer=1, n_head=2),
    "features": Auxiliary(d_model=8, n_layer=1, n_head=2, feature_layers=1),
    "side": Side(d_model=8, n_layer=1, n_head=2),
    "two": {
        "a": Auxiliary(8, 1, 2, feature_layers=1, columns=(0, 1)),
        "b": Auxiliary(8, 1, 2, 2, columns=(1, 2)),
    },
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())


def texts(seed: int = 0, n: int = 12, told: bool = True) -> Completions:
    """Texts of different lengths, some of which contain token 0, with which batches are padded; told an attribute each."""
    rng = random.Random(seed)
    examples = [([1], rng.choices([0, 0, 2, 3, 4], k=rng.randint(2, 12))) for _ in range(n)]
    attributes = [rng.choices(range(40), k=2) for _ in examples]
    return Completions(examples, batch_size=4, window=24, attributes=attributes if told else None)


class CountRows:
    """How many rows the base has been run on."""

    def __init__(self, base: MiniLM):
        self.n_row = 0
        base.register_forward_hook(self)

    def __call__(self, module, arguments, output) -> None:
        self.n_row += arguments[0].size(0)


def losses(model, steps: int = 12) -> list[float]:
    settings = TrainingConfig(steps=steps, optimizer="adamw", device="cpu")
    batches = texts(told=model.takes_attribute)
    return [record.loss for record in train(model, batches, settings, progress=False).records]


@every_method
@pytest.mark.parametrize("place", ["memory", "disk", "both"])
def test_cached_training_is_uncached_training(base, method, place, tmp_path):
    def fresh():
        torch.manual_seed(0)
        return attach(base, method)

    expected = losses(fresh())
    options = {"memory": {}, "disk": {"folder": tmp_path}, "both": {"memory_limit": 5 * 24 * 16 * 4}}[place]
    cached = CachedBase(fresh(), **options)
    count = CountRows(base)
    assert losses(cached) == pytest.approx(expected, abs=1e-6)
    assert (
        count.n_row == len(set(map(str, texts().examples))) == len(cached.rows)
    )  # four epochs, each read once


def test_rows_that_were_kept_are_found_by_the_next_process(base, tmp_path):
    torch.manual_seed(0)
    first = CachedBase(attach(base, METHODS["plain"]), folder=tmp_path)
    expected = losses(first)
    with open(tmp_path / "states.sqlite", "ab") as file:
        file.write(b"half a row, written when the power failed")
    torch.manual_seed(0)
    count = CountRows(base)
    again = CachedBase(attach(base, METHODS["plain"]), folder=tmp_path)
    assert len(again.rows) == len(first.rows)
    assert losses(again) == expected
    assert count.n_row == 0


def test_other_data_is_never_taken_for_it(base):
    cached = CachedBase(attach_and_stir(base, METHODS["features"]))
    for seed in range(3):
        for batch in texts(seed).in_order():
            ours = cached(batch.tokens, attribute=batch.attribute).logits
            theirs = cached.tuned(batch.tokens, attribute=batch.attribute).logits
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_other_weights_are_noticed_in_memory_and_on_disk(base, tokens, tmp_path):
    cached = CachedBase(attach(base, METHODS["plain"]), folder=tmp_path)
    cached(tokens)
    with torch.no_grad():
        base.position_embedding.weight.mul_(1.0)  # written, but the same
        cached(tokens)
        base.position_embedding.weight[3, 5] += 1e-3
    with pytest.raises(ValueError, match="weights have changed"):
        cached(tokens)
    with pytest.raises(ValueError, match="was made for fingerprint="):
        CachedBase(attach(base, METHODS["plain"]), folder=tmp_path)


def test_another_layer_or_width_is_not_reused(base, tmp_path):
    CachedBase(attach(base, METHODS["plain"]), folder=tmp_path)
    with pytest.raises(ValueError, match=r"was made for layers=\[2\], but here it is \[1, 2\]"):
        CachedBase(attach(base, METHODS["features"]), folder=tmp_path)
    with pytest.raises(ValueError, match="was made for shape="):
        CachedBase(attach(base, METHODS["plain"]), folder=tmp_path, width=12)


@every_method
def test_texts_are_generated_and_traced_as_without(base, tokens, method):
    tuned = attach_and_stir(base, method)
    cached = CachedBase(tuned, width=5)
    attribute = torch.tensor([[7, 3], [12, 5]]) if cached.takes_attribute else None
    prompt = tokens[:, :3]
    ours = generate(cached, prompt, 12, temperature=0, attribute=attribute)
    assert torch.equal(ours, generate(tuned, prompt, 12, temperature=0, attribute=attribute))
    long, expected = cached(tokens, attribute=attribute).logits, tuned(tokens, attribute=attribute).logits
    assert torch.equal(long, expected)
    with trace(cached) as seen:
        cached(prompt, attribute=attribute)
    assert seen.attention[0].shape == (2, 2, 3, 3)


@pytest.mark.parametrize(
    "method", [LoRA(rank=2), Prefix(length=2), FullFineTuning(), [Side(8, 1, 2), LoRA()]]
)
def test_methods_inside_the_base_are_refused(base, method):
    with pytest.raises(ValueError, match="what the base says changes as it learns"):
        CachedBase(attach(base, method))


@pytest.mark.parametrize("width", [0, CONFIG.context_length + 1])
def test_a_width_that_no_row_has_is_refused(base, width):
    with pytest.raises(ValueError, match="width must be a whole number from 1 to 24"):
        CachedBase(attach(base, METHODS["plain"]), width=width)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 15), max_size=40), st.integers(0, 6))
def test_a_store_gives_back_what_it_was_given(numbers, n_in_memory):
    store = RowStore((2, 3), torch.float64, memory_limit=n_in_memory * 6 * 8)
    given_rows = {}
    for number in numbers:
        key = number.to_bytes(32, "big")
        if key not in store:
            given_rows[key] = store[key] = torch.full((2, 3), number / 7, dtype=torch.float64)
        assert all(torch.equal(store[key], row) for key, row in given_rows.items())
    assert len(store) == len(given_rows)

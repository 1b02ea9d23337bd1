"""A delta at each site does what an edit of the weights, or of the text, would have done there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from core_models import SHAPE, make_model, make_tokens
from torch import Tensor

from minilm import MiniLM
from minilm.model.attention import Attended
from minilm.model.interface import Reading
from minilm.model.sites import LINEAR_SITES, NO_SITES, AttentionDelta, Memory, Sites
from minilm.tuning.methods.gate import gate

LAYERS = range(SHAPE["n_layer"])


def linear_at(model: MiniLM, site: str, layer: int) -> torch.nn.Linear:
    """The map that a linear site names."""
    block = model.blocks[layer]
    return getattr(block.mlp if site in ("up", "down") else block.attention, site)


def logits(model: MiniLM, tokens: Tensor, sites: Sites = NO_SITES) -> Tensor:
    """Next-token logits without gradients."""
    with torch.no_grad():
        return model(tokens, sites=sites).logits


def edited(edit: Callable[[MiniLM], None]) -> MiniLM:
    """The test's model after an edit of its weights."""
    model = make_model()
    with torch.no_grad():
        edit(model)
    return model


def assert_same_change(sites: Sites, edit: Callable[[MiniLM], None], n_token: int = 9) -> None:
    """The delta moves the logits, and exactly as the edit does."""
    tokens = make_tokens(2, n_token)
    tuned = logits(make_model(), tokens, sites)
    assert (tuned - logits(make_model(), tokens)).abs().max() > 0.01
    torch.testing.assert_close(tuned, logits(edited(edit), tokens), rtol=0, atol=1e-4)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("site", LINEAR_SITES)
def test_a_delta_at_a_linear_map_is_an_edit_of_its_weight_and_bias(site: str, layer: int) -> None:
    weight = linear_at(make_model(), site, layer).weight
    change, bias = 0.1 * torch.randn(weight.shape), 0.1 * torch.randn(len(weight))

    def edit(model: MiniLM) -> None:
        linear_at(model, site, layer).weight += change
        linear_at(model, site, layer).bias += bias

    assert_same_change(Sites({(site, layer): [lambda x, y: x @ change.T, lambda x, y: bias]}), edit)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_delta_at_a_linear_map_sees_its_output_with_the_deltas_before_it(layer: int) -> None:
    def edit(model: MiniLM) -> None:
        linear = linear_at(model, "down", layer)
        linear.weight *= 4
        linear.bias *= 4

    assert_same_change(Sites({("down", layer): [lambda x, y: y, lambda x, y: y]}), edit)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("site", "last_map"), [("attention_out", "output"), ("mlp", "down")])
def test_a_delta_at_a_sublayer_is_added_to_its_output(site: str, last_map: str, layer: int) -> None:
    bias = torch.randn(SHAPE["d_model"])

    def edit(model: MiniLM) -> None:
        linear_at(model, last_map, layer).bias += bias

    assert_same_change(Sites({(site, layer): [lambda x, y: bias]}), edit)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_delta_at_a_sublayer_sees_the_normalised_stream(layer: int) -> None:
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def watch(site: str) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda x, y: seen.setdefault(site, (x, y))[1] * 0

    sites = Sites({(site, layer): [watch(site)] for site in ("attention_out", "mlp", "block")})
    model, tokens = make_model(), make_tokens(1, 6)
    with torch.no_grad():
        states = model(tokens, sites=sites).states
        block, stream = model.blocks[layer], states[layer]
        assert torch.equal(seen["block"][0], stream)
        assert torch.equal(seen["block"][1], states[layer + 1])
        assert torch.equal(seen["attention_out"][0], block.attention_norm(stream))
        middle = stream + seen["attention_out"][1]
        assert torch.equal(seen["mlp"][0], block.mlp_norm(middle))
        assert torch.equal(middle + seen["mlp"][1], states[layer + 1])


@pytest.mark.parametrize("layer", LAYERS)
def test_a_block_is_skipped_by_the_delta_that_undoes_it(layer: int) -> None:
    def edit(model: MiniLM) -> None:
        for linear in (linear_at(model, "output", layer), linear_at(model, "down", layer)):
            linear.weight.zero_()
            linear.bias.zero_()

    assert_same_change(Sites({("block", layer): [lambda x, y: x - y]}), edit)


@pytest.mark.parametrize("layer", LAYERS)
def test_attention_deltas_stand_before_and_after_the_output_map(layer: int) -> None:
    after = torch.randn(SHAPE["d_model"])

    def doubled(attended: Attended) -> AttentionDelta:
        return AttentionDelta(heads=attended.output)

    def edit(model: MiniLM) -> None:
        value = linear_at(model, "value", layer)
        value.weight *= 2
        value.bias *= 2
        linear_at(model, "output", layer).bias += 2 * after

    constant = AttentionDelta(output=after.expand(2, 9, -1))
    deltas = [doubled, lambda attended: constant, lambda attended: constant]
    assert_same_change(Sites({("attention", layer): deltas}), edit)


def test_rows_at_the_embedding_site_are_tokens_read_before_the_text() -> None:
    model, virtual, text = make_model(), make_tokens(1, 4, seed=1), make_tokens(3, 9)
    rows = model.token_embedding(virtual).expand(3, -1, -1)
    sites = Sites({("embedding", None): [lambda batch_size: rows[:, :1], lambda batch_size: rows[:, 1:]]})
    whole = logits(model, torch.cat([virtual.expand(3, -1), text], dim=1))
    assert torch.equal(logits(model, text, sites), whole[:, 4:])


def test_memory_slots_are_the_keys_and_values_of_tokens_read_before() -> None:
    model, before, text = make_model(), make_tokens(1, 5, seed=1), make_tokens(3, 9)
    cache = model.new_cache(1)
    with torch.no_grad():
        model(before, cache=cache)

    def slots(layer: int, part: slice) -> Callable[[int], Memory]:
        pair = [tensor[layer, :, :, :5][:, :, part] for tensor in (cache.keys, cache.values)]
        return lambda batch_size: Memory(*(tensor.expand(batch_size, -1, -1, -1) for tensor in pair))

    deltas = {("memory", layer): [slots(layer, slice(2)), slots(layer, slice(2, 5))] for layer in LAYERS}
    whole = logits(model, torch.cat([before.expand(3, -1), text], dim=1))[:, 5:]
    for explicit in (False, True):
        model.explicit_attention = explicit
        tuned = logits(model, text, Sites(deltas, position_offset=5))
        torch.testing.assert_close(tuned, whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("explicit", [False, True])
def test_a_row_sees_only_the_slots_that_it_has(explicit: bool) -> None:
    """Two rows with 4 and 2 slots of their own, decoded together, are as each is alone; with a cache and without."""
    model, text = make_model(), make_tokens(2, 9)
    model.explicit_attention = explicit
    keys, values = torch.randn(2, 2, SHAPE["n_head"], 4, 8)
    seen = torch.tensor([[True] * 4, [False, True, False, True]])
    together = Sites({("memory", 1): [lambda n: Memory(keys, values, seen), lambda n: Memory(keys, values)]})
    whole, cache = logits(model, text, together), model.new_cache(2)
    with torch.no_grad():
        parts = [model(part, cache=cache, sites=together).logits for part in text.split([4, 1, 4], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-5)
    for row in range(2):
        own = [tensor[row : row + 1, :, seen[row]] for tensor in (keys, values)]
        all_slots = [tensor[row : row + 1] for tensor in (keys, values)]
        alone = Sites(
            {("memory", 1): [lambda n, own=own: Memory(*own), lambda n, rest=all_slots: Memory(*rest)]}
        )
        torch.testing.assert_close(
            logits(model, text[row : row + 1], alone)[0], whole[row], rtol=0, atol=1e-5
        )


def test_shifts_at_the_logits_are_added_in_turn() -> None:
    model, tokens = make_model(), make_tokens(2, 6)
    base, readings = logits(model, tokens), []

    def double(reading: Reading) -> Tensor:
        readings.append(reading)
        return reading.logits

    sites = Sites({("logits", None): [double, lambda reading: -torch.ones_like(reading.logits), double]})
    attribute = make_tokens(2, 3, seed=5)
    with torch.no_grad():
        output = model(tokens, attribute=attribute, sites=sites)
    torch.testing.assert_close(output.logits, 2 * (2 * base - 1))
    assert torch.equal(readings[0].logits, base)
    assert torch.equal(readings[0].tokens, tokens)
    assert torch.equal(readings[0].attribute, attribute)
    assert readings[0].model is model
    assert readings[0].states[-1] is output.hidden


def everywhere() -> Sites:
    """A delta that matters at every site that acts on single positions, memory slots, and an offset."""
    d, p, n_head, generator = SHAPE["d_model"], 8, SHAPE["n_head"], torch.Generator().manual_seed(3)
    slots = [torch.randn(n_head, 2, p, generator=generator) for _ in range(2)]
    deltas = {
        (site, layer): [lambda x, y: 0.3 * y] for site in (*LINEAR_SITES, "mlp", "block") for layer in LAYERS
    }
    for layer in LAYERS:
        deltas["attention_out", layer] = [lambda x, y: 0.1 * x]
        deltas["memory", layer] = [
            lambda batch_size: Memory(*(slot.expand(batch_size, -1, -1, -1) for slot in slots))
        ]
        deltas["attention", layer] = [
            lambda attended: AttentionDelta(
                gate(attended, attended.query.sum(-1)).unsqueeze(-1) * attended.query
            )
        ]
    row = torch.randn(1, 3, d, generator=generator)
    deltas["embedding", None] = [lambda batch_size: row.expand(batch_size, -1, -1)]
    deltas["logits", None] = [lambda reading: reading.logits.sin() + reading.states[1][..., :1]]
    return Sites(deltas, position_offset=2)


@pytest.mark.parametrize("explicit", [False, True])
def test_deltas_act_alike_with_a_cache_and_without(explicit: bool) -> None:
    model, tokens, sites = make_model(), make_tokens(2, 12), everywhere()
    whole = logits(model, tokens, sites)
    assert (whole - logits(model, tokens)).abs().max() > 0.1
    model.explicit_attention = explicit
    cache, parts = model.new_cache(2), []
    with torch.no_grad():
        for part in tokens.split([5, 1, 3, 1, 1, 1], dim=1):
            parts.append(model(part, cache=cache, sites=sites).logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=2e-5)


def test_no_deltas_are_the_base_bit_for_bit() -> None:
    model, tokens = make_model(), make_tokens(2, 9)
    base = logits(model, tokens)
    assert torch.equal(logits(model, tokens, Sites({("mlp", 0): []})), base)
    logits(model, tokens, everywhere())
    assert torch.equal(logits(model, tokens), base)


def test_virtual_rows_and_an_offset_count_against_the_context() -> None:
    model, sites = make_model(), everywhere()
    logits(model, make_tokens(1, SHAPE["context_length"] - 5), sites)
    with pytest.raises(ValueError, match="25 positions do not fit"):
        logits(model, make_tokens(1, SHAPE["context_length"] - 4), sites)


@pytest.mark.parametrize(
    ("place", "complaint"),
    [
        (("residual", 0), "no site 'residual'"),
        (("logits", 0), "'logits' cannot be at layer 0"),
        (("embedding", 1), "'embedding' cannot be at layer 1"),
        (("query", None), "'query' cannot be at layer None"),
    ],
)
def test_places_that_do_not_exist_are_named(place: tuple[str, int | None], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Sites({place: [lambda x, y: y]})

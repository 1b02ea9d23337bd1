"""Generation: the cache changes nothing but the time, samples follow their definition, and streams are each row's own."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from core_models import SHAPE, make_model, make_tokens
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from minilm import MiniLM, complete, generate, stream
from minilm.generation.sampling import next_token_probabilities, pick, uniform_draws
from minilm.generation.speculative import Lookup

CONTEXT = SHAPE["context_length"]


@torch.no_grad()
def greedy_by_rereading(model: MiniLM, tokens: Tensor, n_new: int) -> Tensor:
    """The definition: read all of the text, or its last window, anew for every token."""
    for _ in range(n_new):
        best = model(tokens[:, -CONTEXT:]).logits[:, -1].argmax(dim=-1)
        tokens = torch.cat([tokens, best[:, None]], dim=1)
    return tokens


@pytest.mark.parametrize("n_row", [1, 3])
@pytest.mark.parametrize("n_prompt", range(1, CONTEXT + 1))
def test_cached_greedy_tokens_are_those_of_rereading_at_every_length(n_prompt: int, n_row: int) -> None:
    model, tokens = make_model(), make_tokens(n_row, n_prompt)
    n_new = CONTEXT + 1 - n_prompt  # the last token is drawn after reading a full context
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = generate(model, tokens, n_new, temperature=0, slide=False)
    assert torch.equal(made, greedy_by_rereading(model, tokens, n_new))


def test_the_logits_of_each_step_are_those_of_one_pass_over_the_whole_text() -> None:
    model, tokens = make_model(), make_tokens(3, 5)
    steps = list(stream(model, tokens, 12, seed=4))
    text = torch.cat([tokens, torch.stack([step.token for step in steps], dim=1)], dim=1)
    with torch.no_grad():
        whole = model(text).logits[:, 4:-1]
    torch.testing.assert_close(torch.stack([step.logits for step in steps], dim=1), whole, rtol=0, atol=1e-5)
    drawn = whole.softmax(-1).gather(-1, text[:, 5:, None])[..., 0]
    torch.testing.assert_close(
        torch.stack([step.probability for step in steps], dim=1), drawn, rtol=1e-4, atol=1e-6
    )


def count_passes(model: MiniLM) -> list[int]:
    """A list that grows by the number of tokens of each forward pass."""
    passes: list[int] = []
    model.register_forward_pre_hook(lambda module, args: passes.append(args[0].size(1)))
    return passes


@pytest.mark.parametrize("n_new", [5, 20, 40])
def test_a_text_that_repeats_itself_is_read_ahead_and_stays_the_same(n_new: int) -> None:
    model, tokens = (
        make_model(scale=0.02, context_length=48),
        make_tokens(1, 4),
    )  # such weights echo the last token
    with torch.no_grad():
        expected = tokens
        for _ in range(n_new):
            expected = torch.cat([expected, model(expected).logits[:, -1:].argmax(-1)], dim=1)
    passes = count_passes(model)
    assert torch.equal(generate(model, tokens, n_new, temperature=0), expected)
    assert len(passes) < n_new
    assert max(passes[1:]) <= 9


@pytest.mark.parametrize("seed", range(5))
def test_wrong_guesses_leave_no_trace(seed: int) -> None:
    """With three words, every pair has stood before, and most guesses are wrong."""
    model, tokens = make_model(vocab_size=3, context_length=64), make_tokens(1, 4, vocab_size=3)
    passes = count_passes(model)
    steps = list(stream(model, tokens, 60, seed=seed))
    assert passes[0] == 4
    assert 60 > len(passes) > 20
    text = torch.cat([tokens, torch.stack([step.token for step in steps], dim=1)], dim=1)
    with torch.no_grad():
        whole = model(text).logits[0, 3:-1]
    torch.testing.assert_close(torch.cat([step.logits for step in steps]), whole, rtol=0, atol=1e-5)
    beside = generate(model, tokens.expand(2, -1), 60, seed=seed)  # a batch of two is not read ahead
    assert torch.equal(text[0], beside[0])


@settings(deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=20), st.integers(0, 5), st.integers(0, 12))
@example([0, 1, 0, 1], 5, 5)
def test_guesses_follow_the_latest_place_where_the_last_two_tokens_stood(
    tokens: list[int], room: int, n_right: int
) -> None:
    lookup = Lookup(tokens)
    lookup.n_right = n_right
    places = [place for place in range(2, len(tokens)) if tokens[place - 2 : place] == tokens[-2:]]
    text, n_guess = list(tokens), min(max(n_right, 2), 8, room) if places else 0
    for step in range(n_guess):
        text.append(text[places[-1] + step])
    assert lookup.guess(room) == text[len(tokens) :]


@pytest.mark.parametrize("n_prompt", [3, CONTEXT, CONTEXT + 7])
def test_beyond_the_context_the_window_slides_and_says_so(n_prompt: int) -> None:
    model, tokens = make_model(), make_tokens(2, n_prompt)
    with pytest.warns(UserWarning, match=f"outgrows the window of {CONTEXT}"):
        made = generate(model, tokens, 40, temperature=0)
    assert torch.equal(made, greedy_by_rereading(model, tokens, 40))


def test_without_sliding_a_text_beyond_the_context_is_refused() -> None:
    model = make_model()
    with pytest.raises(ValueError, match=rf"20 tokens and 6 new .* window of {CONTEXT}"):
        generate(model, make_tokens(1, 20), 6, slide=False)
    assert generate(model, make_tokens(1, 20), 5, slide=False).shape == (1, 25)


def test_prompts_of_different_lengths_go_on_as_each_does_alone() -> None:
    model = make_model()
    prompts = [make_tokens(n, seed=n).tolist() for n in (1, 9, 4, 9, 14)]
    alone = [
        generate(model, torch.tensor([prompt]), 10, temperature=0)[0, len(prompt) :].tolist()
        for prompt in prompts
    ]
    assert complete(model, prompts, 10) == alone
    model.explicit_attention = True
    assert complete(model, prompts, 10) == alone


def test_completions_end_before_their_stop_token() -> None:
    model = make_model()
    prompts = [make_tokens(n, seed=n).tolist() for n in (2, 7, 5)]
    free = complete(model, prompts, 15)
    stop = free[1][4]
    expected = [row[: row.index(stop)] if stop in row else row for row in free]
    assert complete(model, prompts, 15, stop_token=stop) == expected
    assert len(expected[1]) <= 4


def test_a_row_that_has_stopped_is_filled_with_the_stop_token() -> None:
    model, tokens = make_model(), make_tokens(4, 3)
    free = generate(model, tokens, 15, seed=1)
    stop = int(free[2, 6])
    stopped = generate(model, tokens, 15, seed=1, stop_token=stop)
    assert stopped.shape == free.shape
    for row, original in zip(stopped[:, 3:].tolist(), free[:, 3:].tolist(), strict=True):
        end = original.index(stop) if stop in original else len(original)
        assert row[:end] == original[:end]
        assert set(row[end:]) <= {stop}


def test_a_stream_ends_once_every_row_has_stopped() -> None:
    model, tokens = make_model(), make_tokens(1, 3)
    free = generate(model, tokens, 15, seed=1)[0, 3:].tolist()
    steps = list(stream(model, tokens, 15, seed=1, stop_token=free[5]))
    assert [int(step.token) for step in steps] == free[: free.index(free[5]) + 1]


def test_seeds_repeat_and_rows_have_streams_of_their_own() -> None:
    model, tokens = make_model(scale=0.05), make_tokens(1, 4).expand(3, -1)
    first, again, other = (generate(model, tokens, 12, seed=seed) for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len({tuple(row) for row in first.tolist()}) == 3  # equal prompts, different texts
    assert torch.equal(generate(model, tokens[:2], 12, seed=7), first[:2])  # in any batch
    fresh = {tuple(generate(model, tokens[:1], 12)[0].tolist()) for _ in range(3)}
    assert len(fresh) == 3


@pytest.mark.parametrize("seed", [None, 3])
def test_sampling_leaves_torchs_own_generator_and_the_models_mode_alone(seed: int | None) -> None:
    model, before = make_model().train(), torch.get_rng_state()
    generate(model, make_tokens(2, 4), 5, seed=seed)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training


def test_dropout_is_off_while_generating() -> None:
    model, tokens = make_model(dropout=0.5), make_tokens(2, 4)
    expected = generate(model, tokens, 10, temperature=0)
    assert torch.equal(generate(model.train(), tokens, 10, temperature=0), expected)


def test_samples_have_the_frequencies_of_the_model() -> None:
    model, tokens = make_model(scale=0.12), make_tokens(1, 6)
    with torch.no_grad():
        expected = model(tokens).logits[0, -1].softmax(-1).double()
    n = 4000
    drawn = generate(model, tokens.expand(n, -1), 1, seed=2)[:, -1]
    counts = torch.bincount(drawn, minlength=SHAPE["vocab_size"]).double()
    chi_square = ((counts - n * expected) ** 2 / (n * expected)).sum().item()
    degrees = SHAPE["vocab_size"] - 1
    assert abs(chi_square - degrees) < 5 * math.sqrt(2 * degrees)


def nucleus_by_hand(
    logits: list[float], temperature: float, top_k: int | None, top_p: float | None
) -> list[float]:
    """The definition, token by token in float64: the k likeliest (with all ties), then the fewest that reach p."""
    powers = [math.exp((z - max(logits)) / temperature) for z in logits]
    if top_k is not None:
        smallest = sorted(powers, reverse=True)[min(top_k, len(powers)) - 1]
        powers = [power if power >= smallest else 0.0 for power in powers]
    shares = [power / sum(powers) for power in powers]
    if top_p is not None:
        kept, mass = set(), 0.0
        for token in sorted(range(len(shares)), key=lambda i: -shares[i]):
            if mass >= top_p:
                break
            kept.add(token)
            mass += shares[token]
        shares = [share / mass if token in kept else 0.0 for token, share in enumerate(shares)]
    return shares


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.integers(-400, 400), min_size=1, max_size=12, unique=True),
    st.floats(0.1, 5.0),
    st.none() | st.integers(1, 15),
    st.none() | st.floats(0.01, 1.0),
)
def test_top_k_and_top_p_are_their_definition(
    hundredths: list[int], temperature: float, top_k: int | None, top_p: float | None
) -> None:
    logits = [z / 100 for z in hundredths]
    expected = nucleus_by_hand(logits, temperature, top_k, top_p)
    got = next_token_probabilities(torch.tensor([logits]), temperature, top_k, top_p)[0].tolist()
    close = all(abs(a - b) < 1e-5 for a, b in zip(got, expected, strict=True))
    # Where the mass reaches p to within rounding, float32 may keep one token more or less.
    ranked = (
        torch.tensor(nucleus_by_hand(logits, temperature, top_k, None)).sort(descending=True).values.cumsum(0)
    )
    assert close or (top_p is not None and (ranked - top_p).abs().min() < 1e-5)


@pytest.mark.parametrize("temperature", [1e-3, 1e-9, 1e-30])
def test_a_temperature_near_zero_is_greedy(temperature: float) -> None:
    logits = torch.tensor([[1.0, 900.0, -5.0], [2.0, 1.5, -float("inf")]])
    assert next_token_probabilities(logits, temperature).tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]


def test_tied_logits_are_all_kept_by_top_k() -> None:
    assert next_token_probabilities(torch.tensor([[2.0, 1.0, 1.0, 0.0]]), top_k=2)[0, 1:].tolist()[2] == 0
    assert (next_token_probabilities(torch.zeros(1, 4), top_k=1) == 0.25).all()


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=8).filter(any), st.floats(0, 1, exclude_max=True))
def test_a_draw_picks_the_token_in_whose_share_it_falls(weights: list[int], draw: float) -> None:
    total = sum(weights)
    token = int(pick(torch.tensor([weights]) / total, torch.tensor([draw], dtype=torch.float64)))
    below = sum(weights[:token]) / total
    assert weights[token] > 0
    assert below - 1e-6 <= draw <= below + weights[token] / total + 1e-6


def test_draws_are_even_and_each_rows_own() -> None:
    draws = uniform_draws(5, 3, 1000)
    assert ((draws >= 0) & (draws < 1)).all()
    assert ((draws.mean(1) - 0.5).abs() < 0.05).all()
    assert torch.equal(uniform_draws(5, 2, 1000), draws[:2])
    assert (torch.corrcoef(draws) - torch.eye(3)).abs().max() < 0.15


def test_no_new_tokens_are_none() -> None:
    model, tokens = make_model(), make_tokens(2, 4)
    assert torch.equal(generate(model, tokens, 0), tokens)
    assert complete(model, [[1], [2, 3]], 0) == [[], []]


@pytest.mark.parametrize("tokens", [torch.zeros(1, 0, dtype=torch.int64), torch.zeros(5, dtype=torch.int64)])
def test_a_prompt_without_tokens_is_refused(tokens: Tensor) -> None:
    with pytest.raises(ValueError, match="at least one token.*end_of_text"):
        generate(make_model(), tokens, 3)


@pytest.mark.parametrize("prompts", [[], [[1, 2], []]])
def test_completing_nothing_is_refused(prompts: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        complete(make_model(), prompts, 3)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_new_tokens", -1),
        ("temperature", -0.5),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", 0),
        ("top_p", 0.0),
        ("top_p", 1.2),
    ],
)
def test_settings_out_of_range_are_named_before_anything_is_drawn(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{setting}.*{value}"):
        stream(make_model(), make_tokens(1, 3), **{"max_new_tokens": 3, setting: value})


def test_ids_outside_the_vocabulary_are_named_before_anything_is_drawn() -> None:
    with pytest.raises(ValueError, match="token id 61 is outside"):
        stream(make_model(), torch.tensor([[3, 61]]), 3)


def test_lengths_that_the_batch_does_not_have_are_refused_and_ragged_rows_do_not_slide() -> None:
    model, tokens = make_model(), make_tokens(2, 5)
    for lengths in ([0, 5], [3, 6]):
        with pytest.raises(ValueError, match=r"lengths must lie in 1 \.\. 5"):
            stream(model, tokens, 3, lengths=torch.tensor(lengths))
    with pytest.raises(ValueError, match="do not fit"):
        stream(model, tokens, CONTEXT, lengths=torch.tensor([3, 5]))

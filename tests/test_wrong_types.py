"""Wrong Python types and shapes at public functions: one ValueError that says what was given, and never a guess."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from core_models import make_model, make_tokens

from minilm import MiniLM, ModelConfig, complete, generate, perplexity, stream, trace, tuning
from minilm.evaluation.ngram import NGramModel
from minilm.evaluation.perplexity import mean_loss
from minilm.generation import few_shot_prompt
from minilm.model.tokens import id_row
from minilm.objectives import Batch, Completions, Documents, NextToken
from minilm.steering import PPLM, Experts
from minilm.system import checks
from minilm.tuning import (
    METHODS,
    Auxiliary,
    BitFit,
    CachedBase,
    Inducer,
    LoRA,
    MAMInducer,
    ParallelAdapter,
    Prefix,
    Prompt,
    Side,
    attach,
    encode_attributes,
    strength,
)
from minilm.tuning.mixed_batch import MixedBatch

MODEL, TOKENS = make_model(), make_tokens(2, 5)
NAN, INF = float("nan"), float("inf")
PAIR = ([1, 2], [3])


class Words:
    """A tokenizer of one letter a token, as far as attributes need one."""

    end_of_text = 0

    def encode(self, text: str) -> list[int]:
        return [ord(letter) % 60 for letter in text]


GENERATION = {
    "a list": (lambda: generate(MODEL, [[1, 2]], 3), "tensor of ids, not the list .*pass torch.tensor"),
    "an array": (lambda: generate(MODEL, np.array([[1, 2]]), 3), "not the ndarray .*pass torch.tensor"),
    "a text": (lambda: generate(MODEL, "once", 3), "not the str 'once'"),
    "one row": (lambda: generate(MODEL, TOKENS[0], 3), r"\(batch, time\) tensor, not of shape \(5,\)"),
    "fractions": (lambda: generate(MODEL, TOKENS.float(), 3), "must be int64, not torch.float32"),
    "no model": (
        lambda: generate("gpt2", TOKENS, 3),
        "model must be a MiniLM or a tuned model, not the str 'gpt2'",
    ),
    "n '3'": (lambda: generate(MODEL, TOKENS, "3"), "max_new_tokens must be a whole number .* not '3'"),
    "n 3.0": (lambda: generate(MODEL, TOKENS, 3.0), "max_new_tokens must be a whole number .* not 3.0"),
    "n True": (lambda: generate(MODEL, TOKENS, True), "max_new_tokens must be a whole number .* not True"),
    "temperature": (
        lambda: generate(MODEL, TOKENS, 3, temperature="hot"),
        "temperature must be a number .* 'hot'",
    ),
    "top_k": (lambda: stream(MODEL, TOKENS, 3, top_k=2.5), "top_k must be a whole number .* not 2.5"),
    "top_p": (lambda: stream(MODEL, TOKENS, 3, top_p=[0.9]), "top_p must be a number, not"),
    "seed": (lambda: stream(MODEL, TOKENS, 3, seed="x"), "seed must be a whole number, not 'x'"),
    "stop": (
        lambda: stream(MODEL, TOKENS, 3, stop_token=99),
        "stop_token must be a whole number from 0 to 60, not 99",
    ),
    "lengths": (lambda: stream(MODEL, TOKENS, 3, lengths=[2, 3]), "lengths must lie in 1 .. 5"),
    "few lengths": (
        lambda: stream(MODEL, TOKENS, 3, lengths=torch.tensor([2])),
        "one for each of the 2 rows",
    ),
    "slide": (lambda: stream(MODEL, TOKENS, 50, slide="no"), "slide must be True or False, not 'no'"),
    "attribute": (
        lambda: generate(MODEL, TOKENS, 3, attribute=[[1]]),
        "attribute must be .* tensor of ids, not the list",
    ),
    "prompts": (
        lambda: complete(MODEL, "once", 3),
        "prompts must be a list of texts as token ids, not the str 'once'",
    ),
    "a prompt": (
        lambda: complete(MODEL, ["once"], 3),
        "each prompt must be a list of token ids, not the str 'once'",
    ),
    "cut": (
        lambda: complete(MODEL, [[1.7, 2.2]], 3),
        "each prompt must be whole token ids, not torch.float32, such as 1.7",
    ),
    "true": (lambda: complete(MODEL, [[True, False]], 3), "whole token ids, not torch.bool"),
    "few-shot": (lambda: few_shot_prompt([PAIR], [1.5], [0], 9), "prompt must be whole token ids"),
    "room": (lambda: few_shot_prompt([PAIR], [1], [0], 9.0), "room must be a whole number, not 9.0"),
    "pplm": (lambda: PPLM().generate(MODEL, TOKENS, [1.5], 3), "bag must be whole token ids"),
    "pplm model": (lambda: PPLM().generate(None, TOKENS, [1], 3), "model must be a MiniLM"),
    "pplm list": (lambda: PPLM().generate(MODEL, [[1]], [1], 3), "not the list"),
    "pplm step": (lambda: PPLM(step_size=NAN), "step_size must be a number of at least 0, not nan"),
    "pplm steps": (lambda: PPLM(steps=1.5), "steps must be a whole number of at least 0, not 1.5"),
    "strength": (
        lambda: Experts(MODEL, MODEL, MODEL, strength="2"),
        "strength must be a number from 0 to 10, not '2'",
    ),
    "nucleus": (lambda: Experts(MODEL, MODEL, MODEL, top_p="all"), "top_p must be a number, not 'all'"),
}
MODELS = {
    "list": (lambda: MODEL([[1, 2]]), "tokens must be a .* tensor of ids, not the list"),
    "told": (lambda: MODEL(TOKENS, attribute=TOKENS), "attribute must be None"),
    "trace": (lambda: trace("model"), "only a MiniLM or a tuned model can be traced, not 'model'"),
    "size": (lambda: ModelConfig(vocab_size=8.0), "vocab_size must be a whole number of at least 1, not 8.0"),
    "dropout": (lambda: ModelConfig(vocab_size=8, dropout="0.1"), r"dropout must lie in \[0, 1\), not '0.1'"),
    "epsilon": (
        lambda: ModelConfig(vocab_size=8, layer_norm_epsilon=INF),
        "layer_norm_epsilon must be a positive",
    ),
    "preset": (lambda: ModelConfig.preset(3), "name must be one of tiny, .* not 3"),
}
DATA = {
    "floats": (
        lambda: NextToken([1.5] * 40, 8, 2),
        "tokens must be whole token ids, not torch.float32, such as 1.5",
    ),
    "text": (lambda: NextToken("a" * 40, 8, 2), "tokens must be a list of token ids, not the str"),
    "rows": (lambda: NextToken(TOKENS, 2, 2), r"the ids of one text \(time,\), not of shape \(2, 5\)"),
    "window": (lambda: NextToken([1] * 40, 8.0, 2), "window must be a whole number of at least 1, not 8.0"),
    "batch": (
        lambda: NextToken([1] * 40, 8, "2"),
        "batch_size must be a whole number of at least 1, not '2'",
    ),
    "seed": (lambda: NextToken([1] * 40, 8, 2, seed=None), "seed must be a whole number, not None"),
    "document": (
        lambda: Documents([[1, 2], ["x"]], 0, 8, 2),
        "each document must be a list of token ids, not the list",
    ),
    "separator": (
        lambda: Documents([[1, 2]], "|", 8, 2),
        "separator must be a whole number of at least 0, not '|'",
    ),
    "examples": (lambda: Completions([([1.5], [2])], 2, 8), "example 0 must be whole token ids"),
    "words": (lambda: Completions([("once", "more")], 2, 8), "example 0 must be a list of token ids"),
    "attributes": (
        lambda: Completions([PAIR], 2, 8, attributes=[]),
        "1 examples need as many attributes, not 0",
    ),
    "targets": (lambda: Batch(TOKENS, TOKENS.T), r"targets must be of the tokens' shape \(2, 5\)"),
    "lists": (lambda: Batch([[1]], [[2]]), "tokens must be a tensor of ids, not the list"),
    "n-gram": (lambda: NGramModel([1, 2, 3], 4, n=2.0), "n must be a whole number of at least 1, not 2.0"),
    "two texts": (lambda: perplexity(MODEL, TOKENS), r"the ids of one text \(time,\), not of shape \(2, 5\)"),
    "cut ids": (lambda: perplexity(MODEL, [1.2, 2.9]), "tokens must be whole token ids"),
    "string": (lambda: perplexity(MODEL, "a text"), "tokens must be a list of token ids, not the str"),
    "model": (lambda: perplexity(None, [1, 2]), "model must be a MiniLM or a tuned model, not the NoneType"),
    "batch size": (
        lambda: perplexity(MODEL, [1, 2], batch_size=0),
        "batch_size must be .* at least 1, not 0",
    ),
    "unequal": (
        lambda: mean_loss(MODEL, [Batch(TOKENS, TOKENS[:, :3])]),
        "targets must be of the tokens' shape",
    ),
}
TUNING = {
    "no model": (lambda: attach("gpt2", LoRA()), "model must be a MiniLM, not the str 'gpt2'"),
    "no method": (lambda: attach(MODEL, 3), "the int 3 is not a tuning method"),
    "a class": (lambda: attach(MODEL, LoRA), "it must be made first, with its settings, as in LoRA"),
    "a bad name": (lambda: attach(MODEL, {"a.b": LoRA()}), "a word without a dot, not 'a.b'"),
    "rank": (lambda: LoRA(rank=4.0), "rank must be a whole number of at least 1, not 4.0"),
    "rank text": (lambda: LoRA(rank="4"), "rank must be a whole number of at least 1, not '4'"),
    "rank true": (lambda: LoRA(rank=True), "rank must be a whole number of at least 1, not True"),
    "alpha nan": (lambda: LoRA(alpha=NAN), "alpha must be a number, not nan"),
    "alpha": (lambda: LoRA(alpha="16"), "alpha must be a number, not '16'"),
    "targets": (
        lambda: LoRA(targets="query"),
        "targets must be a tuple of names out of query, .* not 'query'",
    ),
    "target": (lambda: LoRA(targets=(1,)), "each of targets must be one of query, .* not 1"),
    "bias": (lambda: LoRA(bias="yes"), "bias must be True or False, not 'yes'"),
    "scale": (lambda: ParallelAdapter(scale=INF), "scale must be a number, not inf"),
    "placement": (lambda: tuning.Adapter(placement=["mlp"]), "placement must be one of"),
    "norm": (lambda: BitFit(layer_norm=1), "layer_norm must be True or False, not 1"),
    "length": (lambda: Prompt(length=2.5), "length must be a whole number of at least 1, not 2.5"),
    "init": (lambda: Prompt(length=2, init=(1.5, 2.5)), "init must be whole token ids"),
    "init 7": (lambda: Prefix(init=7), "init must be one of random, vocabulary or 8 token ids, not 7"),
    "hidden": (lambda: Prefix(hidden="512"), "hidden must be a whole number"),
    "gating": (lambda: Inducer(gating=None), "gating must be True or False, not None"),
    "query alpha": (lambda: Inducer(query_rank=2, query_alpha=NAN), "alpha must be a number, not nan"),
    "mam": (lambda: MAMInducer(scale=NAN), "scale must be a number, not nan"),
    "columns": (lambda: Auxiliary(columns=(0.0, 1.0)), "columns must be .first, end. with first < end"),
    "columns 3": (lambda: Auxiliary(columns=3), "columns must be .first, end. with first < end, not 3"),
    "size": (lambda: Auxiliary(d_model=8.0), "d_model must be a whole number"),
    "copy": (lambda: Side(copy="no"), "copy must be True or False, not 'no'"),
    "strong": (
        lambda: strength(attach(MODEL, Auxiliary()), NAN),
        "strength must be a number from 0 to 10, not nan",
    ),
    "a string": (
        lambda: encode_attributes(Words(), "happy"),
        "a list of texts, not 'happy': one for each row",
    ),
    "ids": (lambda: encode_attributes(Words(), [3]), r"a list of texts, not \[3\]"),
    "attribute": (
        lambda: attach(MODEL, Auxiliary())(TOKENS, attribute=[1]),
        "must be .batch, m. of int64, not the list",
    ),
    "told": (
        lambda: attach(MODEL, LoRA())(TOKENS, attribute=TOKENS),
        "attribute must be None: lora takes none",
    ),
    "side": (
        lambda: attach(MODEL, Side())(TOKENS, attribute=TOKENS),
        "attribute must be None: side takes none",
    ),
    "experts": (lambda: Experts(MODEL, MODEL, MODEL)(TOKENS, attribute=TOKENS), "neither expert takes one"),
    "width": (
        lambda: CachedBase(attach(MODEL, Side()), width=4.0),
        "width must be a whole number from 1 to 24, not 4.0",
    ),
    "one": (lambda: MixedBatch(MODEL), "models must be a list of models, one for each row"),
    "mixed": (lambda: MixedBatch([MODEL, "x"]), "model must be a MiniLM or a tuned model, not the str 'x'"),
    "row list": (lambda: MixedBatch([MODEL])([[1]]), "tokens must be a .* tensor of ids, not the list"),
    "mixed told": (
        lambda: MixedBatch([MODEL] * 2)(TOKENS, attribute=TOKENS),
        "none of the models of this batch",
    ),
}
CASES = {
    f"{room}: {name}": case
    for room, cases in {"generation": GENERATION, "models": MODELS, "data": DATA, "tuning": TUNING}.items()
    for name, case in cases.items()
}


@pytest.mark.parametrize(("call", "complaint"), CASES.values(), ids=CASES.keys())
def test_what_would_have_to_be_guessed_is_one_valueerror(call: Callable[[], object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        call()
    assert type(caught.value) is ValueError
    assert "\n" not in str(caught.value)


def test_all_settings_of_all_methods_refuse_what_they_are_not() -> None:
    """No setting takes an object of no use, NaN, or its own value as a string."""
    for kind in METHODS.values():
        for name, value in kind().settings().items():
            signed = name.endswith(("alpha", "scale"))
            for wrong in (object(), f"{value} ", NAN, *([] if signed else [-1.5])):
                with pytest.raises(ValueError, match="must"):
                    kind(**{name: wrong})


@pytest.mark.parametrize(
    "ids", [[1, 2, 3], (1, 2, 3), range(1, 4), np.array([1, 2, 3]), np.array([1, 2, 3], np.uint8)]
)
def test_whole_numbers_are_taken_from_whatever_holds_them(ids: object) -> None:
    assert torch.equal(id_row(ids), torch.tensor([1, 2, 3]))
    assert perplexity(MODEL, ids) == perplexity(MODEL, torch.tensor([[1, 2, 3]]))


def test_a_text_without_tokens_is_a_row_without_tokens() -> None:
    assert id_row([]).dtype == torch.int64


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("options", [{}, {"temperature": 0}, {"top_k": 3}, {"top_p": 0.9}])
def test_a_model_whose_weights_are_not_numbers_writes_nothing(value: float, options: dict) -> None:
    broken = make_model()
    with torch.no_grad():
        broken.final_norm.bias[3] = value
    with pytest.raises(ValueError, match="logits are not finite"):
        generate(broken, TOKENS, 3, seed=0, **options)
    with pytest.raises(ValueError, match="logits are not finite"):
        PPLM().generate(broken, TOKENS, [1], 3)


@pytest.mark.parametrize("value", [True, "3", None, NAN, INF, 2.5, [3], np.int64(3)])
def test_checks_take_their_own_kind_and_nothing_that_looks_like_it(value: object) -> None:
    assert checks.whole("n", 3, 1, 3) == 3
    with pytest.raises(ValueError, match="n must be a whole number from 1 to 3, not"):
        checks.whole("n", value, 1, 3)
    if value != 2.5:
        with pytest.raises(ValueError, match="x must be a positive number, not"):
            checks.positive("x", value)
    with pytest.raises(ValueError, match=r"x must lie in \[0, 1\), not"):
        checks.share("x", value)


def test_an_enormous_whole_number_is_a_number_like_any_other() -> None:
    assert checks.number("x", 10**400) == 10**400
    with pytest.raises(ValueError, match="from 0 to 1, not"):
        checks.number("x", 10**400, 0, 1)


def test_tokens_on_an_accelerator_are_looked_at_only_where_no_gradient_is_recorded(monkeypatch) -> None:
    """Looking makes the device wait. "meta" stands for it: a look at its values is an error."""
    with torch.device("meta"):
        model, tokens = MiniLM(MODEL.config), torch.zeros(2, 5, dtype=torch.int64)
    for mode in (True, False):
        assert model.train(mode)(tokens).logits.shape == (2, 5, 61)
        assert attach(model, LoRA()).train(mode)(tokens).logits.shape == (2, 5, 61)
    with torch.no_grad(), pytest.raises((RuntimeError, NotImplementedError)):
        model(tokens)

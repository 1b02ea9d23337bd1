"""What may be asked of generation: everything that cannot be done is refused before the first token is drawn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from minilm.generation.settings import check_settings, check_top_p
from minilm.model.interface import LanguageModel
from minilm.model.tokens import check_ids, check_tokens, id_row, in_words
from minilm.system.checks import flag, whole

__all__ = ["check_settings", "check_top_p"]


def check_model(model: object) -> None:
    """Raise ValueError for what cannot read a text token by token."""
    if not all(hasattr(model, name) for name in ("new_cache", "window", "device", "config")):
        raise ValueError(
            f"model must be a MiniLM or a tuned model, not {in_words(model)}: load_pretrained gives one"
        )


def check_prompt(
    model: LanguageModel, tokens: Tensor, max_new_tokens: int, slide: bool, lengths: Tensor | None = None
) -> None:
    """Refuse prompts that the model cannot read; warn when the window will have to slide."""
    check_tokens(tokens, "the prompt", ": it needs at least one token, start a text with tok.end_of_text")
    check_ids(tokens, model.config.vocab_size)
    if lengths is not None:
        check_lengths(lengths, tokens)
    needed = tokens.size(1) + max_new_tokens - 1  # the last token is never read
    if needed > model.window and (not flag("slide", slide) or lengths is not None):
        raise ValueError(
            f"a prompt of {tokens.size(1)} tokens and {max_new_tokens} new ones do not fit into a window of "
            f"{model.window}: shorten them, or pass slide=True to forget the beginning"
        )
    if needed > model.window:
        warnings.warn(
            f"the text outgrows the window of {model.window} tokens: from there on each token sees only the last "
            f"{model.window}, and is slower",
            stacklevel=4,
        )


def check_lengths(lengths: Tensor, tokens: Tensor) -> None:
    """Raise ValueError unless there is a number of real tokens for each row (B, T)."""
    n_row, width = tokens.shape
    known = isinstance(lengths, Tensor) and lengths.dtype == torch.int64 and lengths.shape == (n_row,)
    if not known or not 1 <= int(lengths.min()) <= int(lengths.max()) <= width:
        raise ValueError(
            f"lengths must lie in 1 .. {width}, the width of the batch, one for each of the {n_row} rows, not {in_words(lengths)}"
        )


def check_draws(model: LanguageModel, stop_token: int | None, attribute: Tensor | None) -> None:
    """Raise ValueError for a stop token or an attribute that would have to be guessed."""
    if attribute is not None:
        check_tokens(attribute, "attribute", "; encode_attributes makes one")
    if stop_token is not None:
        whole("stop_token", stop_token, 0, model.config.vocab_size - 1)


class NonFiniteLogitsError(ValueError):
    """The model's logits hold NaN or infinity: there is nothing to draw from."""


def check_finite(probability: Tensor) -> None:
    """Raise NonFiniteLogitsError if the logits that a token (B,) was drawn by held NaN, or infinity: then its probability is NaN."""
    if probability.isnan().any():
        raise NonFiniteLogitsError(
            "the model's logits are not finite: its weights hold NaN or infinite numbers, or overflow"
        )


def rows_of(prompts: Sequence[Sequence[int]]) -> list[Tensor]:
    """The prompts as tensors (T,), each with a token at least."""
    if not isinstance(prompts, list | tuple | Tensor):
        raise ValueError(
            f"prompts must be a list of texts as token ids, not {in_words(prompts)}: call tok.encode"
        )
    texts = [id_row(prompt, "each prompt") for prompt in prompts]
    if not texts or not all(map(len, texts)):
        raise ValueError("every prompt needs at least one token; start a text with tok.end_of_text")
    return texts

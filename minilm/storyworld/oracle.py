"""The exact next-token distribution of the story world, in the tokens of any tokenizer.

Not an estimate: the filter sums the probabilities of all stories that agree with the tokens read so far. The
text of a story is read as a tokenizer cuts it; a cut that no tokenizer makes has probability 0, as has any
text outside the grammar. The stream of ids is that of a training corpus: after a story comes the end-of-text
token, after that another story.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
import torch

from minilm.storyworld.filtering import Belief, Filter
from minilm.storyworld.measures import derivation_entropy, is_static, mean_length
from minilm.storyworld.sampling import Story
from minilm.storyworld.units import Encoder, Tokenizer
from minilm.storyworld.world import Attribute, StoryWorld

Ids = Sequence[int] | torch.Tensor


class Oracle:
    """What a perfect model of `world` would predict.

    >>> from minilm import BPETokenizer
    >>> from minilm.storyworld import StoryWorld
    >>> world = StoryWorld().only("story")
    >>> oracle = Oracle(world, BPETokenizer.train([story.text for story in world.sample(20)], 300))
    >>> first = oracle.log_probs(oracle.tokenizer.encode("Mia"))[0].exp()     # the distribution of the first token
    >>> round(first.sum().item(), 6)
    1.0

    Everywhere, ids are the tokens of a story from its start (without the end-of-text token that precedes it
    in a corpus), to any point; they may continue into further stories. An `attribute` such as ("keyword",
    "because") conditions every story of the stream on it.

    Args:
        world: the stories.
        tokenizer: any tokenizer with GPT-2's pre-tokenisation, `encode`, `vocab_size` and `end_of_text`.
    """

    def __init__(self, world: StoryWorld, tokenizer: Tokenizer) -> None:
        self.world, self.tokenizer = world, tokenizer
        self._encoder = Encoder(tokenizer)
        self._filters: dict[Attribute | None, Filter] = {}

    def log_probs(self, ids: Ids, attribute: Attribute | None = None) -> torch.Tensor:
        """log P(x_t | x_<t), or log P(x_t | x_<t, attribute), in nats: float64, (T + 1, vocab) for T ids.

        Row t is the distribution of ids[t] given ids[:t]. After a full story it puts all mass on end-of-text.
        Once the ids have left the world (or cannot have the attribute any more) there is no distribution: all
        rows are -inf.

        Raises:
            ValueError: an attribute that the world does not know.
        """
        ids = _as_list(ids)
        positions, tokens, values = list[int](), list[int](), list[float]()
        for position, (row, _) in enumerate(self._filter(attribute).rows(ids)):
            positions += [position] * len(row)
            tokens += row.keys()
            values += row.values()
        table = np.full((len(ids) + 1, self.tokenizer.vocab_size), -np.inf)  # (T + 1, vocab)
        table[positions, tokens] = np.log(values)
        return torch.from_numpy(table)

    def shift(self, ids: Ids, attribute: Attribute) -> torch.Tensor:
        """log P(x_t | x_<t, a) - log P(x_t | x_<t): (T + 1, vocab); what auxiliary tuning has to learn.

        -inf for a token that the attribute rules out, 0 for one that was impossible without it.
        """
        base = self.log_probs(ids)
        return torch.where(base == -torch.inf, 0.0, self.log_probs(ids, attribute) - base)

    def posterior(self, ids: Ids, attribute: Attribute) -> torch.Tensor:
        """P(attribute | x_<t) of the story under way: (T + 1,); entry 0 is the prior.

        By Bayes' rule P(a) P(x_<t | a) / P(x_<t). After an end-of-text token it starts from the prior again.
        Where a story has left the world it is NaN to that story's end.
        """
        stories = self._split(_as_list(ids))
        tracks = [self._posterior_of_story(story, attribute) for story in stories]
        return torch.from_numpy(np.concatenate([*(track[:-1] for track in tracks[:-1]), tracks[-1]]))

    def log_prob(self, text: str | Ids, attribute: Attribute | None = None) -> float:
        """log P in nats of a whole story (a text; its end-of-text token counts too) or of a beginning (ids).

        -inf when no story is, or begins, so.
        """
        ids = self.encode(text) if isinstance(text, str) else _as_list(text)
        path = self._path(ids, attribute)
        return float("-inf") if np.isneginf(path).any() else float(path.sum())

    def left_world(self, ids: Ids, attribute: Attribute | None = None) -> int | None:
        """The index of the first token that no story (with the attribute) has there, or None."""
        impossible = np.flatnonzero(np.isneginf(self._path(_as_list(ids), attribute)))
        return int(impossible[0]) if len(impossible) else None

    def entropy_rate(self, n: int = 200, *, seed: int = 0) -> tuple[float, float]:
        """Bits per token that no model can save, and the standard error of this figure.

        The entropy of a document's text over its mean number of tokens, the end-of-text token counted in both.
        H(text) = H(derivation) - H(derivation | text): the first term and the mean length are exact, by a pass over
        the grammar; the second is averaged over `n` documents as log P(text) - log P(derivation). It varies little,
        and is 0 for every document of a grammar in which a text has only one derivation. Where documents ask about
        their stories, no pass sees all of the graph, and both are averaged over the `n` documents.

        Raises:
            ValueError: n < 2, which leaves no standard error.
        """
        if n < 2:
            raise ValueError(f"n={n}: a standard error needs at least 2 stories")
        documents, automaton = self.world.sample(n, seed=seed), self.world.automaton
        log_probs = np.array([self.log_prob(document.text) for document in documents])  # (n,)
        if is_static(automaton):
            tokens = 1 + mean_length(automaton, lambda text: len(self._encoder(text)))
            ambiguity = log_probs - [document.log_probability for document in documents]
            nats, spread = derivation_entropy(automaton) - ambiguity.mean(), ambiguity.std(ddof=1)
        else:
            lengths = np.array([len(self.encode(document.text)) for document in documents])  # (n,)
            tokens, nats = lengths.mean(), -log_probs.mean()
            spread = (log_probs + nats / tokens * lengths).std(ddof=1)
        return float(nats / tokens / math.log(2)), float(spread / math.sqrt(n) / tokens / math.log(2))

    def floor(self, stories: Iterable[Story | str], attribute: Attribute | None = None) -> float:
        """The mean loss in nats per token that a perfect model has on these very stories, end-of-text included.

        Raises:
            ValueError: no stories, or one that the world cannot tell; where it left the world is shown.
        """
        paths = [self._told(story if isinstance(story, str) else story.text, attribute) for story in stories]
        if not paths:
            raise ValueError("the floor of no stories is not defined: pass at least one")
        return -float(np.concatenate(paths).mean())

    def target_log_prob(self, prompt: str, target: str) -> float:
        """log P(target, end of the document | prompt), in nats, exactly.

        Of a document whose last element begins where the prompt ends, the target is that element: an answer is the last
        one, whatever number of questions a document may have. Elsewhere the prompt is any beginning of a document.

        Raises:
            ValueError: a prompt or a target that the world cannot write, with the place; a prompt that does not end
                where a token does.
        """
        return float(self._target_path(prompt, target).sum())

    def target_floor(self, pairs: Iterable[tuple[str, str]]) -> float:
        """The mean loss in nats per token of targets, their ends included, that a perfect model has given their prompts.

        Raises:
            ValueError: no pairs, or one that `target_log_prob` refuses.
        """
        paths = [self._target_path(prompt, target) for prompt, target in pairs]
        if not paths:
            raise ValueError("the floor of no targets is not defined: pass at least one (prompt, target)")
        return -float(np.concatenate(paths).mean())

    def _target_path(self, prompt: str, target: str) -> np.ndarray:
        """log P of each token of the target, and of the end: (T + 1,)."""
        given, asked = self.tokenizer.encode(prompt), self.encode(target)
        if self.encode(prompt + target) != [*given, *asked]:
            raise ValueError(
                f"the prompt must end where a token does, not between {prompt[-20:]!r} and {target[:20]!r}: "
                "leave the space before a word to the target"
            )
        filter_ = self._filter(None)
        belief = self._after(filter_, filter_.start(), given, prompt, "prompt", [])
        chances: list[float] = []
        self._after(filter_, filter_.at_target(belief), asked, target, "target", chances)
        return np.log(chances)

    def _after(
        self, filter_: Filter, belief: Belief, ids: list[int], text: str, what: str, chances: list[float]
    ) -> Belief:
        """The belief after more tokens, whose probabilities are added to `chances`."""
        for place, token in enumerate(ids):
            chance = filter_.next_tokens(belief).get(token, 0.0)
            if not chance > 0:
                known = self.tokenizer.decode(ids[:place])
                raise ValueError(
                    f"no document has this {what}: after {known[-60:]!r} cannot come "
                    f"{text[len(known) :][:40] or 'its end'!r} (token {place} of the {what}, letter {len(known)})"
                )
            chances.append(chance)
            belief = filter_.read(belief, token, chance)
        return belief

    def encode(self, text: str) -> list[int]:
        """The ids of a whole story, its end-of-text token last."""
        return [*self.tokenizer.encode(text), self.tokenizer.end_of_text]

    def _told(self, text: str, attribute: Attribute | None) -> np.ndarray:
        """`_path` of a whole story that must be of this world."""
        ids = self.encode(text)
        left = self.left_world(ids, attribute)
        if left is not None:
            known, strange = self.tokenizer.decode(ids[:left]), self.tokenizer.decode(ids[left:])
            raise ValueError(
                f"no story continues like this: {known[-60:]!r}, then {strange[:40]!r} (token {left})"
            )
        return self._path(ids, attribute)

    def _path(self, ids: list[int], attribute: Attribute | None) -> np.ndarray:
        """log P of each token given those before: (T,); -inf from where the ids leave the world."""
        rows = self._filter(attribute).rows(ids)
        chances = [row.get(token, 0.0) for row, token in rows if token is not None]
        with np.errstate(divide="ignore"):
            return np.log(np.array(chances, dtype=np.float64))

    def _posterior_of_story(self, ids: list[int], attribute: Attribute) -> np.ndarray:
        prior = self._filter(attribute).prior
        with np.errstate(invalid="ignore"):  # -inf - -inf outside the world: NaN, as it should be
            evidence = np.cumsum(self._path(ids, attribute) - self._path(ids, None))  # (T,)
        belief: np.ndarray = np.minimum(prior * np.exp(np.concatenate([[0.0], evidence])), 1.0)
        return belief  # without the minimum, rounding might pass 1

    def _split(self, ids: list[int]) -> list[list[int]]:
        """The stories in a stream, each with its end-of-text token; the last is under way, perhaps empty."""
        ends = [i + 1 for i, token in enumerate(ids) if token == self.tokenizer.end_of_text]
        return [ids[start:end] for start, end in zip([0, *ends], [*ends, len(ids)], strict=True)]

    def _filter(self, attribute: Attribute | None) -> Filter:
        key = None if attribute is None else cast(Attribute, tuple(attribute))
        if key not in self._filters:
            self._filters[key] = Filter(self.world.automaton, self._encoder, self.world.condition(attribute))
        return self._filters[key]


def _as_list(ids: Ids) -> list[int]:
    """Ids as a list of int; a (T,) tensor or any sequence.

    Raises:
        ValueError: a tensor of more than one dimension, or a text.
    """
    if isinstance(ids, str):
        raise ValueError("token ids are expected here, not a text: pass tokenizer.encode(text)")
    if isinstance(ids, torch.Tensor) and ids.dim() != 1:
        raise ValueError(f"one story at a time: ids of shape (T,), not {tuple(ids.shape)}")
    return [int(token) for token in ids]

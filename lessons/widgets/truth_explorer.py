"""A model beside the truth: what it expects next, and what the story world knows."""

from __future__ import annotations

import math

from torch import Tensor

from lessons.widgets import controls
from lessons.widgets.model_explorer import ModelExplorer, Models
from lessons.widgets.views.truth import Comparison, Possible, truth_view
from minilm import BPETokenizer
from minilm.evaluation.log_probs import log_probs
from minilm.storyworld import Oracle


class TruthExplorer(ModelExplorer):
    """Write the beginning of a story; see the true distribution of its next token and the model's.

        TruthExplorer(model, tok, oracle, "One morning, Ruby")
        TruthExplorer({"untrained": first, "trained": model}, tok, oracle)

    Args:
        model: a model, or several by name, to choose from; the last one is chosen at first.
        text: the beginning of a story that the world can tell.
        top: number of tokens that are shown.
    """

    def __init__(
        self, model: Models, tokenizer: BPETokenizer, oracle: Oracle, text: str = "", *, top: int = 12
    ):
        super().__init__(
            model, tokenizer, text, "story", "the beginning of a story; Enter looks at what comes next"
        )
        self.oracle = oracle
        self.top = controls.whole("tokens", top, 2, 40, "how many are shown")
        self.which.value = next(reversed(self.models))
        self.arrange([self.text], [*self.chooser, self.top])

    def view(self) -> str:
        ids = self.tokenizer.encode(self.text.value)
        self.check(ids)
        truth = self.oracle.log_probs(ids)[-1]  # (vocab,)
        belief = self.belief(ids)  # (vocab,)
        return truth_view(self.text.value, self.rows(truth.exp(), belief.exp()), compare(truth, belief))

    def check(self, ids: list[int]) -> None:
        """Refuse a text that the world cannot tell, naming where it leaves the world, or that exceeds the window."""
        left = self.oracle.left_world(ids)
        if left is not None:
            before, wrong = self.tokenizer.decode(ids[:left]), self.tokenizer.decode(ids[left : left + 1])
            raise ValueError(
                f"no story of this world continues with {wrong!r} after {before!r}: change the text from there"
            )
        window = self.model.window
        if len(ids) >= window:
            raise ValueError(
                f"the text has {len(ids)} tokens, but the model reads {window - 1} at most: shorten it"
            )

    def belief(self, ids: list[int]) -> Tensor:
        """The model's log-probabilities (vocab,) in nats."""
        return log_probs(self.model, [self.tokenizer.end_of_text, *ids])[-1]

    def rows(self, truth: Tensor, belief: Tensor) -> list[Possible]:
        """The most probable tokens by either distribution, in order of their true probability."""
        top = min(self.top.value, len(truth))
        order = (truth + 1e-3 * belief).argsort(descending=True)  # belief decides among what cannot come
        likely = {*order[:top].tolist(), *belief.topk(min(3, top)).indices.tolist()}
        ranked = sorted(likely, key=lambda id: (-truth[id].item(), -belief[id].item()))[: top + 2]
        return [
            Possible(self.tokenizer.token_bytes(id), truth[id].item(), belief[id].item())
            for id in ranked
            if truth[id] > 0 or belief[id] > 0.001
        ]


def compare(truth: Tensor, belief: Tensor) -> Comparison:
    """Entropy, divergence (both in bits) and probability of the impossible, from log-probabilities (vocab,) in nats."""
    share, possible = truth.exp(), truth.isfinite()
    entropy = -(share[possible] * truth[possible]).sum().item() / math.log(2)
    divergence = (share[possible] * (truth - belief)[possible]).sum().item() / math.log(2)
    return Comparison(entropy, divergence, belief[~possible].exp().sum().item())

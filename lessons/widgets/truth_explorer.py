"""A model beside the truth: what it expects next, and what the story world knows."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lessons.widgets import controls
from lessons.widgets.explorer import Explorer
from lessons.widgets.views.truth import Possible, Verdict, truth_view
from minilm import BPETokenizer
from minilm.model import evaluating
from minilm.storyworld import Oracle


class TruthExplorer(Explorer):
    """Write the beginning of a story; see the true distribution of its next token and the model's.

        TruthExplorer(model, tok, oracle, "One morning, Ruby")
        TruthExplorer({"untrained": first, "trained": model}, tok, oracle)

    Args:
        model: a model, or several by name, to choose from.
        text: the beginning of a story that the world can tell.
        top: tokens shown.
    """

    def __init__(self, model, tokenizer: BPETokenizer, oracle: Oracle, text: str = "", *, top: int = 12):
        super().__init__()
        self.models = dict(model) if isinstance(model, Mapping) else {"model": model}
        self.tokenizer, self.oracle = tokenizer, oracle
        self.text = controls.line("story", text, "the beginning of a story; Enter looks at what comes next")
        self.top = controls.whole("tokens", top, 2, 40, "how many are shown")
        self.which = controls.choice("model", list(self.models), next(reversed(self.models)))
        self.arrange([self.text], [*([self.which] if len(self.models) > 1 else []), self.top])

    def summary(self) -> str:
        return f"TruthExplorer({', '.join(self.models)})"

    def view(self) -> str:
        ids = self.tokenizer.encode(self.text.value)
        self.check(ids)
        truth = self.oracle.log_probs(ids)[-1]  # (vocab,)
        belief = self.belief(ids)  # (vocab,)
        return truth_view(self.text.value, self.rows(truth.exp(), belief.exp()), compare(truth, belief))

    def check(self, ids: list[int]) -> None:
        """Refuse what the world cannot say, naming where it went wrong, and what is longer than the window."""
        left = self.oracle.left_world(ids)
        if left is not None:
            said, wrong = self.tokenizer.decode(ids[:left]), self.tokenizer.decode(ids[left : left + 1])
            raise ValueError(
                f"no story of this world goes on with {wrong!r} after {said!r}: change the text from there"
            )
        window = self.models[self.which.value].window
        if len(ids) >= window:
            raise ValueError(
                f"the text has {len(ids)} tokens, but the model reads {window - 1} at most: shorten it"
            )

    @torch.no_grad()
    def belief(self, ids: list[int]) -> Tensor:
        """The model's log-probabilities (vocab,) in nats."""
        model = self.models[self.which.value]
        tokens = torch.tensor([[self.tokenizer.end_of_text, *ids]], device=model.device)
        with evaluating(model):
            return model(tokens).logits[0, -1].double().log_softmax(dim=-1).cpu()

    def rows(self, truth: Tensor, belief: Tensor) -> list[Possible]:
        """The likeliest tokens by either account, likeliest in truth first."""
        top = min(self.top.value, len(truth))
        order = (truth + 1e-3 * belief).argsort(descending=True)  # belief decides among what cannot come
        likely = set(order[:top].tolist()) | set(belief.topk(min(3, top)).indices.tolist())
        likely = sorted(likely, key=lambda id: (-truth[id].item(), -belief[id].item()))[: top + 2]
        return [
            Possible(self.tokenizer.token_bytes(id), truth[id].item(), belief[id].item())
            for id in likely
            if truth[id] > 0 or belief[id] > 0.001
        ]


def compare(truth: Tensor, belief: Tensor) -> Verdict:
    """Entropy, divergence (both in bits) and mass on the impossible, from log-probabilities (vocab,) in nats."""
    share, possible = truth.exp(), truth.isfinite()
    to_bits = 1 / torch.log(torch.tensor(2.0, dtype=torch.float64)).item()
    entropy = -(share[possible] * truth[possible]).sum().item() * to_bits
    divergence = (share[possible] * (truth - belief)[possible]).sum().item() * to_bits
    return Verdict(entropy, divergence, belief[~possible].exp().sum().item())

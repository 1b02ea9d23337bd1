"""Auxiliary tuning beside everything that the report names: stories with a keyword, over several seeds.

python benchmarks/auxiliary.py                              all rows, five seeds, into results/auxiliary.json
python benchmarks/auxiliary.py auxiliary "from scratch" --seeds 1
python benchmarks/auxiliary.py --base /path/of/a/base --out elsewhere.json

A row and a seed are a cell: what is there already is not measured again, so it may be cut off and started again. Trained
rows keep a curve (steps, share with the keyword, share possible, SLOR), as in the report's Figure 3; every row ends with
the scores of `--samples` stories. Steps, batches and stories are the same for all that train.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from auxiliary_rows import TRAINED, Row, Subject, make
from cells import Cells
from small_methods import base_of, options

from lessons.keyword_stories import TOP_P, Judge, KeywordStories, TaskOracle
from minilm import MiniLM, train
from minilm.evaluation.logit_shift import compare_shifts
from minilm.steering import PPLM
from minilm.system.devices import resolve_device
from minilm.tuning import Auxiliary, TunedModel, attach

KEYWORDS = ("because", "suddenly", "instead", "therefore")
UNTRAINED = ("base", "few-shot", "pplm")
N_POINT = 10
"""Points of a curve after its first."""
N_SWEEP = 40
"""Stories by which a setting of PPLM or DExperts is chosen."""
STEP_SIZES = (0.02, 0.05, 0.1, 0.2, 0.5)
"""PPLM's; the published one comes first."""
N_COMPARED = 60
"""Held-out stories on which the learned shift is laid beside the exact one."""


class Bench:
    """The task, its judge, and how long and on what all rows train."""

    def __init__(self, base: MiniLM, task: KeywordStories, steps: int, batch_size: int, samples: int):
        self.base, self.task, self.judge = base, task, Judge(task)
        self.steps, self.batch_size, self.samples = steps, batch_size, samples

    def scores(self, write: Callable[[Sequence[str]], list[str]], n: int | None = None) -> Row:
        """The scores of n stories, each asked for with one of the keywords."""
        wanted = self.task.wanted(self.samples if n is None else n)
        return self.judge.score(write(wanted), wanted)

    def untrained(self, name: str, seed: int) -> Row:
        """A row that trains nothing; the seed is that of the samples."""
        if name == "pplm":
            return self.pplm(seed)
        ways = {"base": self.task.write, "few-shot": self.task.write_after_examples}
        return self.scores(lambda wanted: ways[name](self.base, wanted, seed=seed))

    def pplm(self, seed: int) -> Row:
        """PPLM with the step size that gives most possible stories with their keyword, on samples of other seeds."""
        steer = partial(self.task.steer, self.base)
        swept = {
            size: self.scores(
                lambda wanted, s=size: steer(wanted, PPLM(step_size=s), seed=1000 + seed), N_SWEEP
            )
            for size in STEP_SIZES
        }
        best = max(swept, key=lambda size: swept[size]["both"])
        row = self.scores(lambda wanted: steer(wanted, PPLM(step_size=best), seed=seed))
        return row | {"step size": best, "swept": {str(size): each for size, each in swept.items()}}

    def trained(self, name: str, seed: int) -> Row:
        """A row that trains: its curve, its last scores, and what only auxiliary models have."""
        torch.manual_seed(seed)
        subject = make(name, self.base, self.task, self.batch_size, seed)
        curve: dict[str, list[float]] = {}
        for part in subject.parts:
            sample = partial(self.note, curve=curve, subject=subject) if part is subject.parts[-1] else None
            config = part.config(self.steps, max(self.steps // N_POINT, 1))
            result = train(part.model, part.batches, config, sample=sample, progress=False)
        steps = [each.step for each in result.evaluations]
        chosen = self.choose(subject, seed)
        row = self.scores(lambda wanted: subject.write(wanted, seed=seed))
        more = self.of_auxiliary(subject.tuned, seed) if name == "auxiliary" else {}
        subject.done()
        return row | chosen | {"weights": subject.n_weight, "curve": {"step": steps, **curve}} | more

    def note(self, _model: Any, curve: dict[str, list[float]], subject: Subject) -> str:
        """One more point of the curve; handed to `train` as `sample`."""
        wanted = self.task.wanted(self.samples // 2)
        texts = subject.write(wanted, seed=0)
        for name, value in self.judge.score(texts, wanted).items():
            curve.setdefault(name, []).append(value)
        return texts[0]

    def choose(self, subject: Subject, seed: int) -> Row:
        """Set the strength, where the row has one to choose, to that with most possible stories with their keyword."""
        if not subject.strengths:
            return {}
        swept = {}
        for strength in subject.strengths:
            subject.set_strength(strength)
            swept[strength] = self.scores(lambda wanted: subject.write(wanted, seed=1000 + seed), N_SWEEP)
        best = max(swept, key=lambda strength: swept[strength]["both"])
        subject.set_strength(best)
        return {"strength": best, "swept": {str(strength): each for strength, each in swept.items()}}

    def of_auxiliary(self, tuned: TunedModel, seed: int) -> Row:
        """The learned shift beside the exact one, and the model attached twice, told two keywords."""
        shifts = compare_shifts(tuned, TaskOracle(self.task.tokenizer), self.task.asked()[:N_COMPARED])
        exact, learned = shifts.likely
        matters = shifts.stakes > 0.1
        return {
            "correlation": shifts.correlation(),
            "rmse": (learned - exact).square().mean().sqrt().item(),
            "kl base": shifts.divergence_of_base.mean().item(),
            "kl": shifts.divergence.mean().item(),
            "kl base where it matters": shifts.divergence_of_base[matters].mean().item(),
            "kl where it matters": shifts.divergence[matters].mean().item(),
            "two at once": self.two_at_once(tuned, seed),
        }

    def two_at_once(self, tuned: TunedModel, seed: int) -> dict[str, float]:
        """Shares of stories with the first and the last keyword, and with both, told both."""
        first, second = self.task.keywords[0], self.task.keywords[-1]
        settings, m = tuned.methods["auxiliary"], len(self.task.ids[first])
        assert isinstance(settings, Auxiliary)
        columns = {"first": (0, m), "second": (m, 2 * m)}
        pair = attach(self.base, {name: replace(settings, columns=each) for name, each in columns.items()})
        for attachment in pair.attachments.values():
            attachment.restore(tuned.attachments["auxiliary"].stored())
        both = torch.cat([self.task.ids[first], self.task.ids[second]]).repeat(self.samples, 1)  # (B, 2m)
        texts = self.task.write_told(pair, both, seed=seed)
        asked = {first: first, second: second, "both": (first, second)}
        shares = {name: self.judge.score(texts, [words] * len(texts)) for name, words in asked.items()}
        pair.detach()
        return {name: row["has the keyword"] for name, row in shares.items()} | {
            "possible": shares["both"]["possible"]
        }


def main() -> None:
    """All rows, seed by seed."""
    numbers = {"seeds": 5, "steps": 600, "batch_size": 32, "stories": 4000, "samples": 200}
    asked = options(__doc__, "auxiliary.json", **numbers)
    base, tokenizer, print_of_base = base_of(asked.base)
    about = {
        "base": print_of_base, "keywords": KEYWORDS, "steps": asked.steps, "batch_size": asked.batch_size,
        "stories": asked.stories, "samples": asked.samples, "top_p": TOP_P,
    }  # fmt: skip
    base.to(resolve_device())
    cells = Cells(asked.out, about)
    task = KeywordStories(tokenizer, KEYWORDS, asked.stories, max(N_COMPARED, len(KEYWORDS)))
    bench = Bench(base, task, asked.steps, asked.batch_size, asked.samples)
    rows = asked.rows or [*UNTRAINED, *TRAINED]
    if strange := set(rows) - {*UNTRAINED, *TRAINED}:
        known = ", ".join([*UNTRAINED, *TRAINED])
        raise SystemExit(f"rows must be some of {known}, not {min(strange)!r}: leave them out for all")
    for seed in range(asked.seeds):
        for name in rows:
            measure = bench.untrained if name in UNTRAINED else bench.trained
            cells.get(f"{name}, seed {seed}", partial(measure, name, seed))


if __name__ == "__main__":
    main()

"""A training run as far as it is known: the data of a dashboard."""

from __future__ import annotations

from dataclasses import dataclass, field

from minilm.training import EvaluationRecord, StepRecord, TrainingResult


@dataclass
class Run:
    """What is known of one run, so far."""

    name: str = "run 1"
    steps: int = 0
    """Total number of steps."""
    state: str = "waiting"
    """One of "waiting", "running", "stopped", "finished", "failed"."""
    records: list[StepRecord] = field(default_factory=list)
    evaluations: list[EvaluationRecord] = field(default_factory=list)
    n_parameter: int = 0
    """Number of parameters that are trained."""
    settings: str = ""
    """What sets this run apart, in a few words."""
    resumed_at: StepRecord | None = None
    """The last record of an earlier part of the run."""
    hint: str = ""
    """How to stop it, shown while it runs."""
    number: int = 0
    """Decides its color; runs are numbered as they start, and keep their number when others are deleted."""
    scored_by: str = ""
    """What `scores` say, such as "objects told"; empty for runs without scores."""
    scores: list[tuple[int, float]] = field(default_factory=list)
    """Step and score from 0 to 1 at each evaluation."""

    @property
    def step(self) -> int:
        """Number of steps taken."""
        return self.records[-1].step if self.records else 0

    @property
    def train_loss(self) -> float | None:
        """Mean training loss of the last steps (at most 20), in nats per token."""
        return TrainingResult(records=self.records).loss if self.records else None

    @property
    def held_out(self) -> list[tuple[int, float]]:
        """Step and loss of each evaluation on held-out text."""
        return [(each.step, each.loss) for each in self.evaluations if each.loss is not None]

    @property
    def held_out_loss(self) -> float | None:
        """Loss of the last evaluation on held-out text, in nats per token."""
        return self.held_out[-1][1] if self.held_out else None

    @property
    def score(self) -> float | None:
        """The score at the last evaluation, from 0 to 1."""
        return self.scores[-1][1] if self.scores else None

    @property
    def seconds_left(self) -> float | None:
        """Estimated from the pace so far; None before the first step."""
        begun = self.resumed_at
        steps, seconds = (begun.step, begun.seconds) if begun else (0, 0.0)
        if self.step <= steps:
            return None
        return (self.steps - self.step) * (self.records[-1].seconds - seconds) / (self.step - steps)

    @property
    def tokens_per_second(self) -> float | None:
        """Median of the last steps (at most 20), which one slow step does not change."""
        last = sorted(record.tokens_per_second for record in self.records[-20:])
        return last[len(last) // 2] if last else None

    def excess(self, floor: float | None) -> float | None:
        """Held-out loss above the floor, as a fraction of the floor."""
        loss = self.held_out_loss
        return None if loss is None or not floor else loss / floor - 1

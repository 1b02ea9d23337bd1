"""Callbacks: what is called during a run, and the progress bar."""

from __future__ import annotations

from minilm.training.records import EvaluationRecord, RunInfo, StepRecord, TrainingResult


class Callback:
    """Override the methods that you need; an error that one of them raises ends the run."""

    def on_start(self, run: RunInfo) -> None:
        """Before the first step."""

    def on_step(self, record: StepRecord) -> None:
        """After every step."""

    def on_evaluate(self, record: EvaluationRecord) -> None:
        """After every evaluation."""

    def on_end(self, result: TrainingResult) -> None:
        """After the last step, also of a run that was stopped."""

    def on_error(self, error: BaseException) -> None:
        """In place of `on_end`, if the run ends in an error, which is then raised."""


class ProgressBar(Callback):
    """A line with time left and loss, in a terminal or in a notebook."""

    def on_start(self, run: RunInfo) -> None:
        from tqdm.auto import tqdm

        self.bar = tqdm(total=run.config.steps, initial=run.first_step, unit="step", desc="training")

    def on_step(self, record: StepRecord) -> None:
        self.bar.set_postfix_str(f"loss {record.loss:.3f}", refresh=False)
        self.bar.update()

    def on_end(self, result: TrainingResult) -> None:
        self.bar.close()

    def on_error(self, error: BaseException) -> None:
        if hasattr(self, "bar"):  # an error may come before the start
            self.bar.close()

"""A base tuned on a task: a tuned model that knows the notation of its task, how it was trained, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping

from minilm.adaptation.encoded import EncodedTask
from minilm.adaptation.report import Report, report
from minilm.model.model import MiniLM
from minilm.training import TrainingResult
from minilm.tuning import Method
from minilm.tuning.tuned import TunedModel


class TaskModel(TunedModel):
    """What `tune` returns: reads and generates like any tuned model, and writes what follows a task's prompt."""

    def __init__(self, base: MiniLM, methods: Mapping[str, Method], task: EncodedTask):
        super().__init__(base, methods)
        self.task = task
        self.result = TrainingResult()
        """How the training went; filled in by `tune`."""

    def write(
        self,
        prompt: str,
        max_new_tokens: int | None = None,
        temperature: float = 0.0,
        seed: int | None = 0,
    ) -> str:
        """What follows a prompt of the task, such as a record's `.prompt`; the marks around it are added.

        Args:
            max_new_tokens: at most so many tokens; None allows as many as the task's longest target has.
            temperature: 0 takes the likeliest token each time.
            seed: makes a sample repeatable; None draws a fresh one.

        Raises:
            ValueError: the prompt is not a text or leaves no room in the window, or a setting is out of range.
        """
        if not isinstance(prompt, str):
            raise ValueError(f"prompt must be a text such as a record's .prompt, not {prompt!r}")
        return self.task.write(self, [prompt], max_new_tokens, temperature, seed)[0]

    def report(self, forgetting: bool = True) -> Report:
        """Loss, floor, score, what was forgotten and what is stored; takes some seconds.

        Args:
            forgetting: measure the exact divergence from the story world too.
        """
        return report(self, self.task, self.result, forgetting)

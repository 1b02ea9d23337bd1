"""A dashboard of a training run: a callback for `minilm.training.train` that draws into a notebook."""

from __future__ import annotations

import threading
import time

from IPython import get_ipython
from IPython.display import DisplayHandle, display

from lessons.widgets.explorer import Explorer
from lessons.widgets.views.run import Run
from lessons.widgets.views.training import training_view
from minilm.training import Callback, EvaluationRecord, RunInfo, StepRecord, TrainingResult

SHARE = 50
"""Drawing takes at most 1/50 of the training's time."""
SHORTEST_PAUSE = 0.25
"""Seconds between two drawings: nobody reads faster."""
INTERRUPT = "■ in the toolbar (interrupt) stops it and keeps what was learnt"
"""While a cell runs, buttons do nothing; an interrupt always reaches the kernel, and `train` then stops in good order."""


class TrainingDashboard(Explorer, Callback):
    """Progress, time left, loss beside its floor, samples as they improve, and all earlier runs for comparison.

        dashboard = TrainingDashboard(floor=1.23)
        train(model, batches, config, evaluate=..., sample=..., callbacks=[dashboard], progress=False)

    It shows itself when the first run starts, if no cell has shown it before, and leaves its last state in the notebook.

    Args:
        floor: entropy of the held-out text in nats per token; drawn as a line, with the excess over it in percent.
        title: the heading.
    """

    def __init__(self, floor: float | None = None, title: str = "Training"):
        super().__init__()
        self.floor, self.title = floor, title
        self.runs: list[Run] = []
        """One for each training run that was watched, oldest first."""
        self._started = 0
        self._next: tuple[str, str] = ("", "")
        self._shown: list[DisplayHandle] = []
        self._due = 0.0
        self.arrange()

    def view(self) -> str:
        return training_view(self.runs, self.floor, self.title, chosen=self.shown)

    def summary(self) -> str:
        return f"{type(self).__name__}({self.title!r})"

    def next_run(self, name: str, settings: str = "") -> None:
        """Name the run that starts next, and say in a few words what sets it apart."""
        self._next = (name, settings)

    @property
    def shown(self) -> Run | None:
        """The run that is shown in full; None stands for the newest."""
        return None

    @property
    def newest(self) -> Run:
        """The newest run."""
        return self.runs[-1]

    def on_start(self, run: RunInfo) -> None:
        (name, settings), self._next = self._next, ("", "")
        in_cell = threading.current_thread() is threading.main_thread()
        self.runs.append(Run(
            name or f"run {self._started + 1}", run.config.steps, "running", list(run.records), [], run.n_parameter, settings,
            resumed_at=run.records[-1] if run.records else None, hint=INTERRUPT if in_cell else "", number=self._started,
        ))  # fmt: skip
        self._started += 1
        self._due = 0.0
        self.draw_if_due()
        if not self._shown and get_ipython():
            self._ipython_display_()

    def on_step(self, record: StepRecord) -> None:
        self.newest.records.append(record)
        self.draw_if_due()

    def on_evaluate(self, record: EvaluationRecord) -> None:
        self.newest.evaluations.append(record)
        self.draw_if_due()

    def on_end(self, result: TrainingResult) -> None:
        self.newest.state = "stopped" if result.stopped else "finished"
        self.settle()

    def on_error(self, error: BaseException) -> None:
        if self.runs and self.newest.state == "running":  # an error may come before `on_start`
            self.newest.state = "failed"
            self.settle()

    def draw_if_due(self) -> None:
        """Draw, unless that would cost the training more than its share of time so soon after the last drawing."""
        began = time.perf_counter()
        if began >= self._due:
            self.draw()
            now = time.perf_counter()
            self._due = now + max(SHORTEST_PAUSE, SHARE * (now - began))

    def settle(self) -> None:
        """Draw the last state, and leave it in every cell of the notebook that shows the dashboard."""
        self.draw()
        for shown in self._shown:
            shown.update(self._repr_mimebundle_(), raw=True)

    def _ipython_display_(self) -> None:
        """Display under an id, so that `settle` can update the saved output, too."""
        self._shown.append(display(self._repr_mimebundle_(), raw=True, display_id=True))

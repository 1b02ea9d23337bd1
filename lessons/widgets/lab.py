"""What labs share: sliders made from settings, Run and Stop, and every run kept for comparison."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from torch import nn

from lessons.widgets import controls
from lessons.widgets.dashboard import INTERRUPT, TrainingDashboard
from lessons.widgets.kept_runs import check_folder, read_run, write_run
from lessons.widgets.views.run import Run
from minilm.objectives import BatchMaker
from minilm.training import StopFlag, TrainingConfig, TrainingResult, train

STOP = "end the run after its current step, keep what was learnt"


@dataclass(frozen=True)
class Experiment:
    """All that one run needs."""

    model: nn.Module
    batches: BatchMaker
    config: TrainingConfig
    evaluate: Callable[[nn.Module], float]
    """Loss on held-out text, in nats per token."""
    sample: Callable[[nn.Module], str]
    """A text the model writes."""


@dataclass(frozen=True)
class LabRun:
    """One run and what came of it."""

    name: str
    settings: Any
    """A frozen dataclass: where the sliders stood."""
    model: nn.Module
    """Trained as far as the run went."""
    result: TrainingResult

    def __repr__(self) -> str:
        return f"{self.name}: {self.settings}, {self.result.steps} of {self.result.records[-1].steps} steps"


class Lab(TrainingDashboard):
    """A training dashboard with sliders, Run and Stop. Subclasses say in `experiment` what a run is.

    Run trains in a thread of its own, so the kernel stays free and hears of Stop, which ends a run after its current
    step and keeps the model as it is then. `run` trains in the cell that calls it; there an interrupt does the same.
    Save writes the newest run to a folder, and Load brings it back, in another session too.

    Args:
        settings: a frozen dataclass; where the sliders stand at first.
        sliders: one control for each of its fields, by name.
        floor, title: as for `TrainingDashboard`.
    """

    def __init__(self, settings: Any, sliders: Mapping[str, widgets.Widget], floor: float | None, title: str):
        super().__init__(floor, title)
        self._defaults, self.sliders = settings, dict(sliders)
        self.kept: list[LabRun] = []
        """Runs that ended or were stopped, oldest first."""
        self._stop, self._busy = StopFlag(), threading.Lock()
        self._thread: threading.Thread | None = None
        self.run_button = controls.button("Run", "train a new model with these settings", "primary", "play")
        self.stop_button = controls.button("Stop", STOP, icon="stop")
        self.stop_button.disabled = True
        self.folder = controls.line("folder", "", "of a saved run", placeholder="my-run")
        self.folder.layout.width = "310px"
        self.save_button = controls.button("Save", "write the newest run to this folder", icon="save")
        self.load_button = controls.button("Load", "bring back the run in this folder", icon="folder-open")
        self.run_button.on_click(self.guard(self.start))
        self.stop_button.on_click(self.guard(self.stop))
        self.save_button.on_click(self.guard(lambda: self.save(self.folder.value)))
        self.load_button.on_click(self.guard(lambda: self.load(self.folder.value)))
        buttons = [self.run_button, self.stop_button, self.folder, self.save_button, self.load_button]
        self.arrange(list(self.sliders.values()), buttons)

    def experiment(self, settings: Any) -> Experiment:
        """A fresh model with these settings, and how to train it. Raises ValueError for settings that are impossible."""
        raise NotImplementedError

    def write(self, model: nn.Module, folder: Path) -> None:
        """Save a run's model, in a form that is of use outside the lab."""
        raise NotImplementedError

    def read(self, folder: Path) -> nn.Module:
        """The model that `write` saved."""
        raise NotImplementedError

    @property
    def settings(self) -> Any:
        """What the sliders say now."""
        return replace(self._defaults, **{name: slider.value for name, slider in self.sliders.items()})

    @property
    def model(self) -> nn.Module:
        """The model of the newest run that has ended. Raises ValueError before the first."""
        return self.last.model

    @property
    def last(self) -> LabRun:
        """The newest run that has ended. Raises ValueError before the first."""
        if not self.kept:
            raise ValueError(
                "no run has ended yet: press Run or call lab.run(), and let it finish or stop it"
            )
        return self.kept[-1]

    @property
    def next_name(self) -> str:
        """What the next run will be called."""
        return f"run {len(self.runs) + 1}"

    def run(self, **changes: Any) -> LabRun:
        """Train here and now, with what the sliders say but for `changes`, until the last step or until Stop.

        Raises:
            ValueError: a setting does not exist or is impossible, or another run is going on.
            DivergenceError: the loss became NaN or infinite.
        """
        unknown = changes.keys() - self.sliders.keys()
        if unknown:
            raise ValueError(f"there is no setting {min(unknown)!r}; there are {', '.join(self.sliders)}")
        settings = replace(self.settings, **changes)
        if not self._busy.acquire(blocking=False):
            raise ValueError("a run is going on: press Stop, or wait until it has ended")
        try:
            return self._train(settings)
        finally:
            self._busy.release()
            self._show_running(False)

    def start(self) -> None:
        """What Run does: train in a thread of its own, and come back at once."""
        if self._busy.locked():
            raise ValueError("a run is going on: press Stop first")
        self._thread = threading.Thread(target=self.guard(self.run), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """What Stop does: end the run after its current step."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Until the run that the button started has ended, or for so many seconds; says whether it has ended."""
        if self._thread:
            self._thread.join(seconds)
        return not self._busy.locked()

    def save(self, folder: str, run: LabRun | None = None) -> Path:
        """What Save does: write a run (None: the newest) to a folder, an older run of which it replaces.

        Raises:
            ValueError: no run has ended yet, or the folder holds something else.
            SaveError: the disk is full or not writable.
        """
        run, path = run or self.last, check_folder(folder)
        self.write(run.model, path)
        write_run(path, run.settings, run.result)
        self.draw(f"{run.name} is saved in {folder}")
        return path

    def load(self, folder: str) -> LabRun:
        """What Load does: bring back a saved run, curves and model, beside the others.

        Raises:
            ValueError: there is no run, or one of another lab or of another base model.
        """
        settings, result = read_run(folder, type(self._defaults))
        model = self.read(Path(folder).expanduser())
        if not self._busy.acquire(blocking=False):
            raise ValueError("a run is going on: press Stop, or wait until it has ended")
        try:
            self.kept.append(LabRun(self.next_name, settings, model, result))
            self.runs.append(finished(self.last))
        finally:
            self._busy.release()
        self.draw(f"{self.last.name} comes from {folder}")
        return self.last

    def _train(self, settings: Any) -> LabRun:
        self._stop = StopFlag()
        self._show_running(True)
        todo = self.experiment(settings)
        name = self.next_name
        self.next_run(name, str(settings))
        result = train(
            todo.model, todo.batches, todo.config, evaluate=todo.evaluate, sample=todo.sample,
            callbacks=[self], progress=False, stop=self._stop,
        )  # fmt: skip
        self.kept.append(LabRun(name, settings, todo.model, result))
        self.settle()
        return self.kept[-1]

    def _show_running(self, running: bool) -> None:
        """Only what would be heard can be pressed: while a cell trains, the kernel hears of no button."""
        in_cell = running and threading.current_thread() is threading.main_thread()
        for button in (self.run_button, self.save_button, self.load_button):
            button.disabled = running
        self.stop_button.disabled = in_cell or not running
        self.stop_button.tooltip = INTERRUPT if in_cell else STOP


def finished(run: LabRun) -> Run:
    """A run that was kept, as the dashboard shows it."""
    told, steps = run.result, run.result.records[-1].steps
    state = "stopped" if told.stopped else "finished"
    n_parameter = sum(each.numel() for each in run.model.parameters() if each.requires_grad)
    return Run(run.name, steps, state, told.records, told.evaluations, n_parameter, str(run.settings))

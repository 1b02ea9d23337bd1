"""The base of the labs: sliders made from settings, Run and Stop, and all runs kept for comparison."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic

import ipywidgets as widgets

from lessons.widgets import controls
from lessons.widgets.dashboard import INTERRUPT, TrainingDashboard
from lessons.widgets.kept_runs import S, check_folder, check_foreign, read_run, write_run
from lessons.widgets.lab_run import Experiment, LabRun, M, finished
from lessons.widgets.views.run import Run
from minilm.training import StopFlag, train

STOP = "end the run after its current step, keep what was learnt"
NEWEST = "the newest run"
BUSY = "a run is in progress: press Stop, or wait until it has ended"


class Lab(TrainingDashboard, Generic[M, S]):
    """A training dashboard with sliders, Run and Stop. Subclasses define in `experiment` what a run is.

    Run trains in a thread, so the kernel stays free and can react to Stop, which ends a run after its current step and
    keeps the model as it is then. The method `run` trains in the cell that calls it; there an interrupt does the same.
    The newest run is shown in full, or the one that the reader chooses among the kept ones; Delete removes that run, and
    Save writes it to a folder. Load reads a saved run, in another session too.

    Args:
        settings: first values of the sliders; a frozen dataclass.
        sliders: one control for each field of the settings, by name.
        floor, title: as for `TrainingDashboard`.
    """

    def __init__(self, settings: S, sliders: Mapping[str, widgets.Widget], floor: float | None, title: str):
        super().__init__(floor, title)
        self._defaults, self.sliders = settings, dict(sliders)
        self.kept: list[LabRun[M, S]] = []
        """Runs that ended or were stopped, oldest first."""
        self._stop, self._busy = StopFlag(), threading.Lock()
        self._thread: threading.Thread | None = None
        self.name = controls.line("name", "", "of the next run; empty numbers it", placeholder="run 1")
        self.which = controls.choice(
            "shown", [(NEWEST, "")], "", "the run that is shown in full, saved or deleted"
        )
        self.run_button = controls.button("Run", "train a new model with these settings", "primary", "play")
        self.stop_button = controls.button("Stop", STOP, icon="stop")
        self.stop_button.disabled = True
        self.folder = controls.line("folder", "", "of a saved run", placeholder="my-run")
        self.folder.layout.width = self.name.layout.width = "310px"
        self.save_button = controls.button("Save", "write the shown run to this folder", icon="save")
        self.delete_button = controls.button("Delete", "remove the shown run from the lab", icon="trash")
        self.load_button = controls.button("Load", "bring back the run in this folder", icon="folder-open")
        self.run_button.on_click(self.guard(self.start))
        self.stop_button.on_click(self.guard(self.stop))
        self.save_button.on_click(self.guard(lambda: self.save(self.folder.value)))
        self.load_button.on_click(self.guard(lambda: self.load(self.folder.value)))
        self.delete_button.on_click(self.guard(lambda: self.delete(self.which.value)))
        self.arrange(
            list(self.sliders.values()),
            [self.name, self.run_button, self.stop_button],
            [self.which, self.delete_button],
            [self.folder, self.save_button, self.load_button],
        )

    def experiment(self, settings: S) -> Experiment[M]:
        """A fresh model with these settings, and how to train it. Raises ValueError for impossible settings."""
        raise NotImplementedError

    def write(self, model: M, folder: Path) -> None:
        """Save a run's model, in a form that can be used outside the lab."""
        raise NotImplementedError

    def read(self, folder: Path) -> M:
        """The model that `write` saved."""
        raise NotImplementedError

    @property
    def settings(self) -> S:
        """The present values of the sliders."""
        return replace(self._defaults, **{name: slider.value for name, slider in self.sliders.items()})

    @property
    def model(self) -> M:
        """The model of the newest run that has ended. Raises ValueError before the first."""
        return self.last.model

    @property
    def last(self) -> LabRun[M, S]:
        """The newest run that has ended. Raises ValueError before the first."""
        if not self.kept:
            raise ValueError(
                "no run has ended yet: press Run or call lab.run(), and let it finish or stop it"
            )
        return self.kept[-1]

    @property
    def next_name(self) -> str:
        """Name of the next run: what the reader wrote, or its number."""
        return self.name.value.strip() or f"run {self._started + 1}"

    @property
    def chosen(self) -> LabRun[M, S]:
        """The run that the reader chose; by default the newest. Raises ValueError before the first."""
        return self.named(self.which.value) if self.which.value else self.last

    @property
    def shown(self) -> Run | None:
        """What is known of the run that is shown in full; None stands for the newest."""
        return next((run for run in self.runs if run.name == self.which.value), None)

    def named(self, name: str) -> LabRun[M, S]:
        """The run of a name. Raises ValueError if there is none; the message lists those there are."""
        for run in self.kept:
            if run.name == name:
                return run
        known = ", ".join(run.name for run in self.kept) or "none yet"
        raise ValueError(f"there is no run {name!r}; kept are: {known}")

    def delete(self, name: str = "") -> None:
        """The button Delete: remove a run, curves and model; without a name the newest. What was saved stays on disk.

        Raises:
            ValueError: there is no such run, or it has not ended.
        """
        gone = self.named(name) if name else self.last
        if not self._busy.acquire(blocking=False):
            raise ValueError(BUSY)
        try:
            self.kept.remove(gone)
            self.runs[:] = [run for run in self.runs if run.name != gone.name]
        finally:
            self._busy.release()
        self.offer_runs()
        self.draw(f"{gone.name} is deleted")

    def offer_runs(self) -> None:
        """Let the reader choose among the runs that are kept now; the newest is shown."""
        self.which.options = [(NEWEST, ""), *((run.name, run.name) for run in self.kept)]
        self.which.value = ""

    def run(self, name: str = "", **changes: Any) -> LabRun[M, S]:
        """Train in the calling cell, with the values of the sliders except for `changes`, to the last step or to Stop.

        Args:
            name: what the run is called; by default what the reader wrote, or its number.

        Raises:
            ValueError: a run of this name is kept already, a setting does not exist or is impossible, or another run is in progress.
            DivergenceError: the loss became NaN or infinite.
        """
        unknown = changes.keys() - self.sliders.keys()
        if unknown:
            raise ValueError(f"there is no setting {min(unknown)!r}; there are {', '.join(self.sliders)}")
        settings, name = replace(self.settings, **changes), name or self.next_name
        if any(name == run.name for run in self.kept):
            raise ValueError(f"there is a run {name!r} already: choose another name, or delete that run")
        if not self._busy.acquire(blocking=False):
            raise ValueError(BUSY)
        try:
            return self._train(settings, name)
        finally:
            self._busy.release()
            self._show_running(False)

    def start(self) -> None:
        """The button Run: train in a thread, and return at once."""
        if self._busy.locked():
            raise ValueError(BUSY)
        self._thread = threading.Thread(target=self.guard(self.run), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """The button Stop: end the run after its current step."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the run that the button started has ended, at most so many seconds; whether it has ended."""
        if self._thread:
            self._thread.join(seconds)
        return not self._busy.locked()

    def save(self, folder: str, run: LabRun[M, S] | None = None) -> Path:
        """The button Save: write a run to a folder, in place of an older run there.

        Args:
            run: None is the one that is shown.

        Raises:
            ValueError: no run has ended yet, or the folder holds something that is not part of a run; nothing is deleted.
            SaveError: the disk is full or not writable.
        """
        run, path = run or self.chosen, check_folder(folder)
        model = run.model
        check_foreign(path, lambda trial: self.write(model, trial))
        self.write(model, path)
        write_run(path, run.settings, run.result)
        self.draw(f"{run.name} is saved in {folder}")
        return path

    def load(self, folder: str) -> LabRun[M, S]:
        """The button Load: add a saved run, curves and model, to the others.

        Raises:
            ValueError: there is no run, it is damaged, or it was made by another lab or with another base model.
        """
        settings, result = read_run(folder, type(self._defaults))
        model = self.read(Path(folder).expanduser())
        if not self._busy.acquire(blocking=False):
            raise ValueError(BUSY)
        try:
            name = f"run {self._started + 1}"
            self._add(LabRun(name, settings, model, result), f"{name} comes from {folder}")
        finally:
            self._busy.release()
        return self.last

    def _add(self, run: LabRun[M, S], note: str) -> None:
        """Show a run beside the others. Raises ValueError for one that cannot be drawn, which is not added."""
        kept, runs = list(self.kept), list(self.runs)
        try:
            self.kept.append(run)
            self.runs.append(finished(run, self._started))
            self.view()
        except Exception as error:  # the numbers of a run on disk may be of any size
            self.kept[:], self.runs[:] = kept, runs
            raise ValueError(f"{note}, but cannot be drawn ({error}): save that run again") from error
        self._started += 1
        self.offer_runs()
        self.draw(note)

    def _train(self, settings: S, name: str) -> LabRun[M, S]:
        self._stop = StopFlag()
        self._show_running(True)
        todo = self.experiment(settings)
        self.which.value = self.name.value = ""
        self.next_run(name, str(settings))
        self.begin(todo.model)
        result = train(
            todo.model, todo.batches, todo.config, evaluate=lambda _: todo.evaluate(todo.model),
            sample=lambda _: todo.sample(todo.model), callbacks=[self], progress=False, stop=self._stop,
        )  # fmt: skip
        self.kept.append(LabRun(name, settings, todo.model, result))
        self.offer_runs()
        self.settle()
        return self.kept[-1]

    def begin(self, model: M) -> None:
        """A run of this model is about to start; subclasses may want to know."""

    def _show_running(self, running: bool) -> None:
        """Enable the buttons that would have an effect: while a cell trains, the kernel reacts to none."""
        in_cell = running and threading.current_thread() is threading.main_thread()
        for button in (self.run_button, self.save_button, self.load_button, self.delete_button):
            button.disabled = running
        self.stop_button.disabled = in_cell or not running
        self.stop_button.tooltip = INTERRUPT if in_cell else STOP

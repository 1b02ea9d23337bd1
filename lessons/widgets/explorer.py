"""The base of all explorers: a few plain controls that write into one `widgets.HTML`, and never a blank output.

An explorer shows itself in three ways at once: as live widgets (JupyterLab, VS Code), as static HTML (a saved notebook,
nbconvert), and as one line of text that never changes (nbval). An error in a callback shows in the explorer's status line;
the last good view stays.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets
from ipywidgets import Layout

from lessons.widgets.views.markup import Markup, tag, view

_ROW = Layout(
    display="flex", flex_flow="row wrap", align_items="center", grid_gap="2px 18px", margin="0 0 6px"
)


class Explorer:
    """Subclasses build their controls, pass them to `arrange`, and return in `view` what to show.

    Attributes:
        error: what the last callback raised; None after a successful drawing.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self._status = self._body = Markup()
        self._lock = threading.RLock()  # front ends may answer two controls at once, on two threads
        self.output = widgets.HTML(layout=Layout(width="auto", margin="0"))
        self.box = widgets.VBox([self.output], layout=Layout(width="100%", overflow="visible"))

    def view(self) -> str:
        """Self-contained HTML for the present values of the controls."""
        raise NotImplementedError

    def still(self) -> str:
        """The view for places where no control can be moved, such as a saved notebook; by default the live one."""
        return self._body

    def summary(self) -> str:
        """One line of text that depends only on how the explorer was made."""
        return f"{type(self).__name__}()"

    def arrange(self, *rows: Sequence[widgets.Widget]) -> None:
        """Put rows of controls above the view, redraw whenever one of them changes, and draw for the first time."""
        for control in (control for row in rows for control in row):
            if not isinstance(control, widgets.Button):
                control.observe(lambda change: self.draw(), names="value")
        self.box.children = (*(widgets.HBox(row, layout=_ROW) for row in rows), self.output)
        self.draw()

    def draw(self, note: str = "") -> None:
        """Draw the view, below a note if there is one; an error is shown above the last good view."""
        with self._lock:
            try:
                self._body, self.error = Markup(self.view()), None
            except Exception as error:  # noqa: BLE001 - whatever it is, the reader must see it
                self.fail(error)
            else:
                self._show(status_line(note) if note else Markup())

    def fail(self, error: Exception) -> None:
        """Show an error in the status line, above the last good view."""
        with self._lock:
            self.error = error
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            self._show(status_line(f"{kind}{error}", is_error=True))

    def _show(self, status: Markup) -> None:
        self._status = status
        self.output.value = status + self._body

    def guard(self, action: Callable[[], object]) -> Callable[..., None]:
        """The action as a button's callback: an error that it raises is shown in the status line."""

        def guarded(*_: object) -> None:
            try:
                action()
            except Exception as error:  # noqa: BLE001 - raised here, it would vanish in a log
                self.fail(error)

        return guarded

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        with self._lock:
            shown = self._status + Markup(self._body if self.error else self.still())
        static = {"text/html": shown, "text/plain": self.summary()}
        return {**self.box._repr_mimebundle_(), **static}

    def __repr__(self) -> str:
        return self.summary()


def status_line(text: str, is_error: bool = False) -> Markup:
    """A line above a view: a note, or an error and what to do about it."""
    role, kind = ("alert", "status error") if is_error else ("status", "status")
    return view("note", "status", tag("p", text, class_=kind, role=role))

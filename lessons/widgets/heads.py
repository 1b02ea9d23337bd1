"""A grid of small pictures of all heads, of one or several models; each picture is a button that chooses its head."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets as widgets
from ipywidgets import Layout

from lessons.widgets.views.attention import Attention, Head, head_name, head_picture, heads_title, shown_heads

SIDE = 84
"""Width of a picture in pixels, where there is room."""
_SAME_CELL = "1 / 1 / 2 / 2"  # picture and button share one cell of a grid; the button is on top
_PICTURE = Layout(grid_area=_SAME_CELL, margin="0", width="auto")
_UNSEEN = {"button_color": "transparent", "text_color": "transparent", "font_size": "1px"}
_CELL = {"grid_template_columns": "minmax(0, 1fr)", "margin": "0", "overflow": "visible"}


class Heads:
    """A grid of pictures under transparent buttons; `box` is the widget to show.

    Args:
        choose: called with (layer, head), counted from 0, when a picture is pressed.
    """

    def __init__(self, choose: Callable[[Head], None]):
        self.choose = choose
        self.box = widgets.HBox(layout=Layout(flex_flow="row wrap", grid_gap="4px 28px", margin="8px 0 0"))
        self._pictures: list[dict[Head, widgets.HTML]] = []
        self._heads: list[Head] = []
        self._models: Sequence[Attention] = ()
        self._chosen: Head | None = None

    def show(self, models: Sequence[Attention], chosen: Head) -> None:
        """Draw what the models do now, and frame the chosen head."""
        heads = shown_heads(models, chosen)
        if heads != self._heads:
            self._heads, self._models = heads, ()
            self._pictures = [{head: widgets.HTML(layout=_PICTURE) for head in heads} for _ in models]
            self.box.children = [
                self._panel(model, pictures) for model, pictures in zip(models, self._pictures, strict=True)
            ]
        changed = {self._chosen, chosen} if models is self._models else set(heads)
        self._models, self._chosen = models, chosen
        for model, pictures in zip(models, self._pictures, strict=True):
            for head, picture in pictures.items():
                if head in changed:
                    picture.value = head_picture(model, head, chosen, len(heads) * len(models))

    def _panel(self, model: Attention, pictures: dict[Head, widgets.HTML]) -> widgets.VBox:
        """One model's heads, a row for each layer."""
        title = widgets.HTML(heads_title(model, self._heads, live=True), layout=Layout(margin="0"))
        n_column = 1 + max((number for _, number in pictures), default=0)
        columns = f"repeat({n_column}, minmax(0, {SIDE}px))"
        cells = [self._cell(head, picture) for head, picture in pictures.items()]
        layout = Layout(grid_template_columns=columns, grid_gap="8px", margin="0")
        grid = widgets.GridBox(cells, layout=layout)
        return widgets.VBox([title, grid], layout=Layout(flex=f"1 1 {50 * n_column}px", max_width="100%"))

    def _cell(self, head: Head, picture: widgets.HTML) -> widgets.GridBox:
        over = Layout(grid_area=_SAME_CELL, width="auto", height="auto", margin="0")
        name = head_name(head)  # for screen readers; it is not visible, since the picture shows a number
        button = widgets.Button(description=name, tooltip=name, style=_UNSEEN, layout=over)
        button.on_click(lambda _: self.choose(head))
        return widgets.GridBox([picture, button], layout=Layout(**_CELL))

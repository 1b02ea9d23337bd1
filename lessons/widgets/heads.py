"""All heads of one or several models, small, each of which is a button: a way into any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets as widgets
from ipywidgets import Layout

from lessons.widgets.views.attention import (
    Attention,
    Place,
    head_name,
    head_picture,
    heads_title,
    shown_heads,
)

SIDE = 84
"""Pixels that a picture is wide where there is room."""
_SAME = "1 / 1 / 2 / 2"  # picture and button lie in one cell of a grid, the button above
_UNSEEN = {"button_color": "transparent", "text_color": "transparent", "font_size": "1px"}
_CELL = {"grid_template_columns": "minmax(0, 1fr)", "margin": "0", "overflow": "visible"}


class Heads:
    """A grid of pictures under transparent buttons; `box` is what is shown.

    Args:
        choose: told (layer, head), counted from 0, when a picture is pressed.
    """

    def __init__(self, choose: Callable[[Place], None]):
        self.choose = choose
        self.box = widgets.HBox(layout=Layout(flex_flow="row wrap", grid_gap="4px 28px", margin="8px 0 0"))
        self._pictures: list[dict[Place, widgets.HTML]] = []
        self._places: list[Place] = []
        self._looks: Sequence[Attention] = ()
        self._chosen: Place | None = None

    def show(self, looks: Sequence[Attention], chosen: Place) -> None:
        """Draw what the models do now, and frame the chosen head."""
        places = shown_heads(looks, chosen)
        if places != self._places:
            self._places, self._looks = places, ()
            self._pictures = [{place: _empty() for place in places} for _ in looks]
            self.box.children = [
                self._panel(look, pictures) for look, pictures in zip(looks, self._pictures, strict=True)
            ]
        changed = {self._chosen, chosen} if looks is self._looks else set(places)
        self._looks, self._chosen = looks, chosen
        for look, pictures in zip(looks, self._pictures, strict=True):
            for place in changed & pictures.keys():
                pictures[place].value = head_picture(look, place, chosen, len(places) * len(looks))

    def _panel(self, look: Attention, pictures: dict[Place, widgets.HTML]) -> widgets.VBox:
        """One model's heads, a row for each layer."""
        title = widgets.HTML(heads_title(look, self._places, live=True), layout=Layout(margin="0"))
        n_head = 1 + max((head for _, head in pictures), default=0)
        columns = f"repeat({n_head}, minmax(0, {SIDE}px))"
        cells = [self._cell(place, picture) for place, picture in pictures.items()]
        grid = widgets.GridBox(
            cells, layout=Layout(grid_template_columns=columns, grid_gap="8px", margin="0")
        )
        return widgets.VBox([title, grid], layout=Layout(flex=f"1 1 {50 * n_head}px", max_width="100%"))

    def _cell(self, place: Place, picture: widgets.HTML) -> widgets.GridBox:
        over = Layout(grid_area=_SAME, width="auto", height="auto", margin="0")
        name = head_name(place)  # read out, but not seen: the picture bears a number
        button = widgets.Button(description=name, tooltip=name, style=_UNSEEN, layout=over)
        button.on_click(lambda _: self.choose(place))
        return widgets.GridBox([picture, button], layout=Layout(**_CELL))


def _empty() -> widgets.HTML:
    return widgets.HTML(layout=Layout(grid_area=_SAME, margin="0", width="auto"))

"""JupyterLab as a test sees it: open a notebook, run it, find what it shows, touch its controls."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlparse

import nbformat
from playwright.sync_api import Locator, Page, expect

PATIENCE = 60_000  # milliseconds; far above what any step takes, so that only a broken one meets it

# Messages of JupyterLab's own, which say nothing about the notebook.
_NOT_OURS = ("favicon", "Failed to load resource", "ResizeObserver", "was not found in the language")


class JupyterLab:
    """A page of JupyterLab, and what went wrong on it.

    Attributes:
        errors: messages of the console's level "error", and uncaught exceptions.
        foreign_requests: addresses asked for that are not on this machine.
    """

    def __init__(self, page: Page, address: str, folder: Path):
        self.page, self.address, self.folder = page, address, folder
        self.errors: list[str] = []
        self.foreign_requests: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("request", self._see_request)
        page.on("console", self._see_message)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, *cells: str, name: str = "test.ipynb") -> None:
        """Write a notebook of these code cells and begin to run it from top to bottom."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        nbformat.write(notebook, self.folder / name)
        self.page.goto(f"{self.address}/lab/tree/{name}?reset", wait_until="domcontentloaded")
        self.page.locator(".jp-Notebook").wait_for()
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.ready")
        self.command("notebook:run-all-cells")

    def command(self, id: str, **arguments: object) -> None:
        """Begin one of JupyterLab's commands."""
        script = "([id, args]) => { window.jupyterapp.commands.execute(id, args); }"
        self.page.evaluate(script, [id, arguments])

    def use_theme(self, theme: str) -> None:
        """Switch to JupyterLab's "light" or "dark" theme."""
        self.command("apputils:change-theme", theme=f"JupyterLab {theme.title()}")
        self.page.locator(f'body[data-jp-theme-light="{str(theme == "light").lower()}"]').wait_for(
            state="attached"
        )

    def cell(self, number: int) -> Cell:
        """A code cell, counted from 0."""
        return Cell(self.page.locator(".jp-CodeCell").nth(number))

    def type_into(self, number: int, code: str) -> None:
        """Replace a cell's code."""
        script = "([n, code]) => window.jupyterapp.shell.currentWidget.content.widgets[n].model.sharedModel.setSource(code)"
        self.page.evaluate(script, [number, code])

    def run_cell(self, number: int) -> None:
        """Begin to run one cell."""
        self.page.locator(".jp-CodeCell").nth(number).locator(".jp-InputPrompt").click()
        self.command("notebook:run-cell")

    def ask(self, code: str) -> str:
        """What the notebook's kernel prints for some code, run after everything else that it runs."""
        script = """async code => {
            const session = window.jupyterapp.shell.currentWidget.sessionContext.session;
            let text = "";
            const future = session.kernel.requestExecute({code, store_history: false});
            future.onIOPub = message => {
                text += message.content.text ?? "";
                if (message.header.msg_type === "error") text += message.content.traceback.join("\\n");
            };
            await future.done;
            return text;
        }"""
        return self.page.evaluate(script, code)

    def _see_request(self, request) -> None:
        address = urlparse(request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.hostname not in (
            "127.0.0.1",
            "localhost",
        ):
            self.foreign_requests.append(request.url)

    def _see_message(self, message) -> None:
        if message.type == "error" and not any(known in message.text for known in _NOT_OURS):
            self.errors.append(message.text)


class Cell:
    """What one cell shows."""

    def __init__(self, root: Locator):
        self.root = root

    def view(self, name: str) -> Locator:
        """The view of this class that stands in a live widget."""
        return self.root.locator(f".jupyter-widgets .minilm.{name}")

    def set_slider(self, name: str, key: str) -> None:
        """Move a slider by its keyboard: "ArrowRight", "Home", "End"."""
        handle = self.root.locator(".widget-slider", has_text=name).locator(".noUi-handle")
        handle.focus()
        handle.press(key)

    def choose(self, name: str, option: str) -> None:
        """Pick an option of a list."""
        self.root.locator(".widget-dropdown", has_text=name).locator("select").select_option(option)

    def write(self, name: str, text: str) -> None:
        """Write into a line of text, and press Enter."""
        box = self.root.locator(".widget-text", has_text=name).locator("input")
        box.fill(text)
        box.press("Enter")

    def must_be_well(self) -> None:
        """Fail if a widget tells of an error in its status line."""
        expect(self.root.locator(".status.error")).to_have_count(0)

    def button(self, name: str) -> Locator:
        """A widget's button."""
        return self.root.locator(".jupyter-button", has_text=name)

    def press(self, name: str) -> None:
        """Press a button once it can be pressed."""
        expect(self.button(name)).to_be_enabled(timeout=PATIENCE)
        self.button(name).click()

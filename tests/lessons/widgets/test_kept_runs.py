"""Runs on disk: saving deletes nothing of the reader's, and a damaged run is one clear error."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons.widgets import PretrainingLab, PretrainingSettings, TuningLab, TuningSettings
from minilm import BPETokenizer, MiniLM, ModelConfig, load_pretrained

IDS = list(range(256)) * 3
PAIRS = [([1, 2, 3], [4, 5, 0]), ([1, 3], [6, 0])]
SETTINGS = PretrainingSettings(n_layer=1, d_model=32, batch_size=4, steps=10)


@pytest.fixture(scope="module")
def lab() -> PretrainingLab:
    """A lab with one run."""
    tok = BPETokenizer.train(["the sea"], vocab_size=258)
    lab = PretrainingLab(tok, IDS, IDS, settings=SETTINGS, context_length=16)
    lab.run()
    return lab


@pytest.fixture(scope="module")
def tuning_lab() -> TuningLab:
    """A lab for tuning with one run."""
    torch.manual_seed(0)
    base = MiniLM(ModelConfig(vocab_size=12, context_length=20, n_layer=1, n_head=2, d_model=16)).eval()
    lab = TuningLab(
        base, PAIRS, PAIRS, sample=lambda _: "text", settings=TuningSettings(steps=10), device="cpu"
    )
    lab.run()
    return lab


@pytest.fixture(scope="module")
def saved(lab: PretrainingLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of the lab."""
    return lab.save(str(tmp_path_factory.mktemp("runs") / "kept"))


def test_notes_of_the_reader_in_the_folder_are_never_deleted(
    lab: PretrainingLab, tuning_lab: TuningLab, tmp_path: Path
) -> None:
    for each in (lab, tuning_lab):
        folder = tmp_path / type(each).__name__
        each.save(str(folder))
        (folder / "notes.md").write_text("mine")
        (folder / ".hidden").mkdir()
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        each.folder.value = str(folder)
        each.save_button.click()
        line = f"{folder.name} also holds .hidden, notes.md, which is not part of a run: move it away, or choose another folder"
        assert line in each.output.value and str(each.error) == line
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
        (folder / "notes.md").unlink()
        (folder / ".hidden").rmdir()
        each.save_button.click()
        assert each.error is None and "is saved in" in each.output.value


def test_a_run_of_another_lab_is_not_replaced(
    lab: PretrainingLab, tuning_lab: TuningLab, saved: Path
) -> None:
    with pytest.raises(ValueError, match=r"kept also holds config\.json"):
        tuning_lab.save(str(saved))
    load_pretrained(saved)


def test_a_link_to_a_folder_is_followed_and_a_file_is_refused(lab: PretrainingLab, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    for _ in range(2):
        lab.save(str(tmp_path / "link"))
        assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "run.json").is_file()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="holds something else than a run"):
        lab.save(str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all values in a JSON object; of long lists to the first two entries."""
    yield at
    inside = (
        value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    )
    for key, each in inside:
        yield from places(each, (*at, key))


def changed(value: Any, at: tuple[Any, ...], to: Any) -> Any:
    """The JSON object with another value at a path."""
    if not at:
        return to
    result = copy.copy(value)
    result[at[0]] = changed(value[at[0]], at[1:], to)
    return result


numbers = st.integers(-(10**400), 10**400) | st.floats() | st.integers(-5, 5)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@given(st.data())
@settings(deadline=None, max_examples=150)
@pytest.mark.parametrize("of", ["lab", "tuning_lab"])
def test_any_change_of_run_json_loads_or_is_one_clear_error(
    of: str,
    lab: PretrainingLab,
    tuning_lab: TuningLab,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    lab = {"lab": lab, "tuning_lab": tuning_lab}[of]
    folder = tmp_path_factory.getbasetemp() / of
    if not folder.exists():
        lab.save(str(folder))
        (folder / "run.txt").write_text((folder / "run.json").read_text())
    about = json.loads((folder / "run.txt").read_text())
    at = data.draw(st.sampled_from(list(places(about))))
    (folder / "run.json").write_text(json.dumps(changed(about, at, data.draw(json_values))))
    kept, runs = list(lab.kept), list(lab.runs)
    try:
        lab.load(str(folder))
    except ValueError as error:
        assert "\n" not in str(error)
        assert str(folder) in str(error)
        assert lab.kept == kept and lab.runs == runs
    lab.kept[:], lab.runs[:] = kept, runs
    lab.draw()
    assert lab.error is None


@pytest.mark.parametrize(
    "text, told",
    [
        (b"", "at its beginning: Invalid JSON"),
        (b"\xff\xfe{", "at its beginning: Invalid JSON"),
        (b"[" * 100_000, "recursion limit"),
        (b"9" * 5000, "damaged"),
        (b'{"lab": "PretrainingSettings", "settings": {"steps": "many"}, "result": {"records": []}}', "there is no step"),
    ],
    ids=["empty", "not UTF-8", "deep", "long number", "no step"],
)  # fmt: skip
def test_what_is_not_a_run_is_named(lab: PretrainingLab, tmp_path: Path, text: bytes, told: str) -> None:
    (tmp_path / "run.json").write_bytes(text)
    with pytest.raises(ValueError, match=told) as caught:
        lab.load(str(tmp_path))
    assert "run.json is damaged at" in str(caught.value) and "save that run again" in str(caught.value)


@pytest.mark.parametrize(
    "at, value, told",
    [
        (("result", "records", 1, "loss"), "3", r"result\.records\.1\.loss: Input should be a valid number"),
        (("settings", "n_layer"), 1.5, r"settings\.n_layer: Input should be a valid integer"),
        (("result", "evaluations"), {}, r"result\.evaluations: Input should be a valid (list|array)"),
    ],
)
def test_the_place_of_a_damage_is_named(
    lab: PretrainingLab, saved: Path, tmp_path: Path, at, value, told: str
) -> None:
    about = json.loads((saved / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(changed(about, at, value)))
    with pytest.raises(ValueError, match=told):
        lab.load(str(tmp_path))


def test_a_method_that_the_lab_does_not_have_is_named(tuning_lab: TuningLab, tmp_path: Path) -> None:
    folder = tuning_lab.save(str(tmp_path / "kept"))
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(changed(about, ("settings", "method"), "magic")))
    with pytest.raises(ValueError, match="the lab has no method 'magic'"):
        tuning_lab.load(str(folder))

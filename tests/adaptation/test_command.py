"""`minilm tune METHOD DATA`, as a shell calls it."""

from __future__ import annotations

import pytest
import tyro

from minilm import save_pretrained
from minilm.adaptation.command import tune
from minilm.system.errors import SaveError
from minilm.tuning import load


@pytest.fixture
def command(tmp_path, base, tokenizer):
    """Runs the command on a saved model and a table."""
    save_pretrained(tmp_path / "model", base, tokenizer)
    rows = "".join(f"Mia lost kite {n},cup {n}\n" for n in range(20))
    (tmp_path / "table.csv").write_text(f"question,answer\n{rows}")

    def run(*arguments: object) -> None:
        fixed = ["--model", tmp_path / "model", "--steps", 3]
        tyro.cli(tune, args=[*map(str, arguments), *map(str, fixed)])

    return run


def test_a_table_is_tuned_on_and_what_it_brought_is_said(command, tmp_path, base, capsys):
    command("lora", tmp_path / "table.csv", "--out", tmp_path / "out", "--learning-rate", 0.01)
    printed = capsys.readouterr().out
    assert "lora on" in printed and "3 steps" in printed and "numbers stored" in printed
    assert (
        "Mia lost kite 18" in printed
        and "target 'cup 18'" in printed
        and f"saved in {tmp_path / 'out'}" in printed
    )
    assert list(load(base, tmp_path / "out").methods) == ["lora"]


def test_several_methods_and_named_columns(command, tmp_path, capsys):
    command(
        "lora+bitfit", tmp_path / "table.csv", "--columns", "answer", "question", "--run", tmp_path / "run"
    )
    printed = capsys.readouterr().out
    assert "lora + bitfit" in printed and "target 'Mia lost kite 18'" in printed
    assert (tmp_path / "run" / "checkpoint.safetensors").is_file()


def test_bad_input_is_one_error(command, tmp_path):
    with pytest.raises(ValueError, match="has no column 'reply': its columns are question, answer"):
        command("lora", tmp_path / "table.csv", "--columns", "question", "reply")
    with pytest.raises(ValueError, match="there is no method 'lorra'"):
        command("lorra", tmp_path / "table.csv")
    with pytest.raises(FileNotFoundError, match="no file .*nothing.csv"):
        command("lora", tmp_path / "nothing.csv")


def test_a_folder_that_cannot_be_saved_to_is_told_before_any_work(command, tmp_path, monkeypatch):
    """The name of the method comes too late to be complained of."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "adapter.json").write_text("the reader's own")
    for folder, complaint in (
        ("mine", "adapter.json was not written by minilm"),
        ("model", "holds a saved model"),
    ):
        with pytest.raises(SaveError, match=complaint):
            command("lorra", tmp_path / "nothing.csv", "--out", tmp_path / folder)
    (tmp_path / "shut").mkdir(mode=0o500)
    monkeypatch.setattr("tempfile.TemporaryFile", shut)
    with pytest.raises(SaveError, match="shut cannot be written to"):
        command("lorra", tmp_path / "nothing.csv", "--out", tmp_path / "shut")
    assert [each.name for each in (tmp_path / "mine").iterdir()] == ["adapter.json"]


def shut(**_: object) -> None:
    """What a folder says that nobody may write to."""
    raise PermissionError(13, "Permission denied")

"""The command line, called as a shell calls it."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm import cli, load_pretrained, save_pretrained
from minilm.model import MiniLM
from minilm.model.config import ModelConfig
from minilm.pretraining.corpus import TextCorpus
from minilm.system import terminal
from minilm.text.tokenizer import BPETokenizer
from minilm.tuning import METHODS


@pytest.fixture
def minilm(monkeypatch, capsys):
    """Runs a command and returns what it printed."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["minilm", *map(str, arguments)])
        cli.main()
        return capsys.readouterr().out

    return run


def test_doctor_looks_at_the_machine(minilm):
    printed = minilm("doctor")
    assert "PyTorch" in printed and "device" in printed


def test_data_is_listed_shown_and_asked_for_by_name(minilm, capsys):
    assert "tinyshakespeare" in minilm("data", "list")
    assert "1,115,394" in minilm("data", "show", "tinyshakespeare")
    with pytest.raises(SystemExit, match="needs the name of a data set"):
        minilm("data", "get")
    with pytest.raises(SystemExit, match="tinyshakespear"):
        minilm("data", "show", "tinyshakespear")


def test_pretrain_then_sample(minilm, tmp_path):
    printed = minilm("pretrain", tmp_path / "model", "--run", tmp_path / "run", "smoke")
    assert "floor: the world's own probabilities" in printed and "5-gram model" in printed
    model, tok = load_pretrained(tmp_path / "model")
    assert model.config.vocab_size == tok.vocab_size == 1024
    card = (tmp_path / "model" / "README.md").read_text()
    assert '"steps": 5' in card and "above the floor" in card and "minilm.json" in card
    first = minilm("sample", "One day", "--model", tmp_path / "model", "--seed", 3, "--new", 9)
    assert first.startswith("One day")
    assert first == minilm("sample", "One day", "--model", tmp_path / "model", "--seed", 3, "--new", 9)


def test_pretrain_on_the_readers_own_text(minilm, tmp_path):
    path = tmp_path / "diary.txt"
    path.write_text("It rained all day, and nobody came. " * 200)
    printed = minilm("pretrain", tmp_path / "model", "smoke", "--data", path, "--vocab-size", 280)
    assert "bits per byte" in printed and "floor" not in printed


@pytest.mark.filterwarnings("ignore:the corpus gives")
def test_a_text_too_short_to_learn_from(minilm, tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("Too short.")
    with pytest.raises(SystemExit, match=r"note.txt has only 10 characters"):
        minilm("pretrain", tmp_path / "model", "smoke", "--data", path)
    assert not (tmp_path / "model").exists()


@pytest.fixture
def diary(tmp_path) -> Path:
    """A text that trains in a second."""
    path = tmp_path / "diary.txt"
    path.write_text("It rained all day, and nobody came. Then the sun came out over the hills. " * 100)
    return path


@pytest.fixture
def pretrain(minilm, diary, tmp_path):
    """Runs `minilm pretrain` on the diary; what it printed."""

    def run(*options: object, folder: str | Path = "model", **changes: object) -> str:
        changes = {"data": diary, "vocab_size": 270, "context_length": 16, "n_held_out": 1, **changes}
        recipe = [part for name, value in changes.items() for part in (f"--{name.replace('_', '-')}", value)]
        return minilm("pretrain", tmp_path / folder, *options, "smoke", *recipe)

    return run


@pytest.fixture
def at_evaluation(monkeypatch):
    """Does something at one of the evaluations that follow, the first being 0."""

    def at(number: int, deed) -> None:
        measure, calls = TextCorpus.loss, itertools.count()

        def loss(self, model) -> float:
            if next(calls) == number:
                deed()
            return measure(self, model)

        monkeypatch.setattr(TextCorpus, "loss", loss)

    return at


def signals(name: str):
    """A deed: this process gets a signal."""
    return lambda: os.kill(os.getpid(), getattr(signal, name))


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All files of a folder, with the time of their last change."""
    return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.iterdir()}


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_a_finished_run_leaves_its_model_alone_and_is_not_repeated(pretrain, tmp_path):
    printed = pretrain()
    assert "needs about" in printed and f"saved in {tmp_path / 'model'}" in printed
    assert {path.name for path in tmp_path.iterdir()} == {"diary.txt", "model"}
    before = contents(tmp_path / "model")
    assert "already finished" in pretrain()
    assert "already finished" in pretrain(checkpoint_every=3)  # it decides nothing
    assert contents(tmp_path / "model") == before


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"steps": 6}, "with steps=5, this one has 6"),
        ({"n_head": 2}, "with n_head=4, this one has 2"),
        ({"seed": 1}, "with seed=0, this one has 1"),
    ],
)
def test_a_finished_model_is_replaced_only_if_one_says_so(pretrain, tmp_path, changes, complaint):
    pretrain()
    before = contents(tmp_path / "model")
    with pytest.raises(SystemExit, match=f"holds a finished model {complaint}: .*--overwrite"):
        pretrain(**changes)
    assert contents(tmp_path / "model") == before
    assert "saved in" in pretrain("--overwrite", **changes)
    assert "already finished" in pretrain(**changes)


def test_another_text_of_the_same_name_is_another_recipe(pretrain, diary, tmp_path):
    pretrain()
    diary.write_text(diary.read_text() + "One more line.")
    with pytest.raises(SystemExit, match="with other source"):
        pretrain()


def test_other_weights_stored_are_another_model(pretrain):
    pretrain()
    with pytest.raises(SystemExit, match="with stored='float32', this one has 'float16'"):
        pretrain("--half")


def test_a_model_without_its_card_is_not_replaced(pretrain, tmp_path):
    pretrain()
    (tmp_path / "model" / "README.md").write_text("My own notes.")
    with pytest.raises(SystemExit, match="a recipe that its card does not tell"):
        pretrain()


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_stopped_run_says_so_and_goes_on_to_the_same_bits(
    pretrain, at_evaluation, monkeypatch, capsys, tmp_path, name, status
):
    pretrain(folder="whole", seed=7)
    at_evaluation(0, signals(name))
    with pytest.raises(SystemExit) as ended:
        pretrain(seed=7)
    printed = capsys.readouterr().out
    assert ended.value.code == status
    assert (
        f"stopped at step 1 of 5; this command continues it (the run is kept in {tmp_path / 'model.run'}"
        in printed
    )
    assert not (tmp_path / "model").exists()
    printed = pretrain(seed=7)
    assert "continuing at step 1 of 5" in printed and "saved in" in printed
    assert weights(tmp_path / "model") == weights(tmp_path / "whole")
    assert not (tmp_path / "model.run").exists()


def test_an_unfinished_model_is_never_put_over_a_finished_one(pretrain, at_evaluation, tmp_path):
    pretrain()
    before = contents(tmp_path / "model")
    at_evaluation(0, signals("SIGINT"))
    with pytest.raises(SystemExit):
        pretrain("--overwrite", steps=6)
    assert contents(tmp_path / "model") == before
    assert "continuing at step 1 of 6" in pretrain("--overwrite", steps=6)
    assert contents(tmp_path / "model") != before


def test_an_unfinished_run_of_another_recipe_is_not_lost_unless_one_says_so(
    pretrain, at_evaluation, tmp_path
):
    at_evaluation(0, signals("SIGINT"))
    with pytest.raises(SystemExit):
        pretrain(n_head=2)
    before = contents(tmp_path / "model.run")
    with pytest.raises(
        SystemExit, match=r"run with n_head=2, this one has 4.*another folder, or pass --overwrite"
    ):
        pretrain()
    assert contents(tmp_path / "model.run") == before
    assert "saved in" in pretrain("--overwrite")
    assert load_pretrained(tmp_path / "model")[0].config.n_head == 4


def test_ctrl_c_before_and_after_training_is_no_traceback(pretrain, monkeypatch, capsys, tmp_path):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("minilm.pretraining.run.corpus_named", interrupted)
        with pytest.raises(SystemExit) as ended:
            pretrain()
    assert ended.value.code == 130 and "stopped before the first step" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"diary.txt"}
    with monkeypatch.context() as patch:
        patch.setattr("minilm.pretraining.run.Pretrained.save", interrupted)
        with pytest.raises(SystemExit) as ended:
            pretrain()
    assert ended.value.code == 130
    assert "stopped at step 5 of 5; this command continues it" in capsys.readouterr().out
    assert "continuing at step 5 of 5" in pretrain()
    assert weights(tmp_path / "model")


def test_ctrl_c_in_any_command_is_one_word(minilm, monkeypatch, capsys):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("minilm.doctor.report", interrupted)
    with pytest.raises(SystemExit) as ended:
        minilm("doctor")
    assert ended.value.code == 130 and capsys.readouterr().err == "minilm: interrupted\n"


@pytest.fixture
def untouched(monkeypatch):
    """Fails the test if any text is read or made."""

    def touched(*_: object, **__: object) -> None:
        raise AssertionError("the text was read")

    monkeypatch.setattr("minilm.pretraining.run.corpus_named", touched)


def test_files_of_the_readers_are_told_before_any_work_and_stay(pretrain, untouched, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "README.md").write_text("My notes.")
    with pytest.raises(SystemExit, match=r"README.md was not written by minilm.*nothing was saved"):
        pretrain()
    assert (tmp_path / "model" / "README.md").read_text() == "My notes."
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["README.md"]


def test_a_finished_model_that_is_damaged_is_told(pretrain, tmp_path):
    pretrain()
    file = tmp_path / "model" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(SystemExit, match="model.safetensors is damaged"):
        pretrain()
    assert file.read_bytes() == content


def test_a_run_of_its_own_folder_stays_there(pretrain, tmp_path):
    pretrain("--run", tmp_path / "mine")
    assert (tmp_path / "mine" / "checkpoint.safetensors").is_file()
    assert "continuing at step 5 of 5" in pretrain("--run", tmp_path / "mine", folder="again")
    assert weights(tmp_path / "again") == weights(tmp_path / "model")


@pytest.mark.parametrize("run", ["model", "model/run", "other/../model/a/b"])
def test_the_run_is_not_kept_in_the_models_folder(pretrain, tmp_path, run):
    with pytest.raises(SystemExit, match="the run cannot be kept in .*another folder"):
        pretrain("--run", tmp_path / run)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, not 0"),
        ({"batch_size": -1}, "batch_size must be a whole number of at least 1, not -1"),
        ({"data": "storyworld", "n_held_out": 0}, "n_held_out must be a whole number of at least 1, not 0"),
        ({"data": "storyworld", "n_story": 0}, "n_story must be a whole number of at least 1, not 0"),
        ({"n_head": 5}, "d_model=32 is not divisible by n_head=5"),
        (
            {"batch_size": 10**9},
            "needs about .* which has .* Most of it is for activations: lower batch_size",
        ),
    ],
)
def test_impossible_sizes_are_told_before_any_work(pretrain, untouched, changes, complaint):
    with pytest.raises(SystemExit, match=complaint):
        pretrain(**changes)


@pytest.mark.parametrize("options", [(), ("--run", "diary.txt/run")])
def test_folders_that_cannot_be_written_to_are_told_before_any_work(
    pretrain, untouched, tmp_path, monkeypatch, options
):
    monkeypatch.chdir(tmp_path)
    folder = "model" if options else "diary.txt/model"
    with pytest.raises(SystemExit, match="diary.txt.* cannot be written to .*choose another folder"):
        pretrain(*options, folder=folder)


def test_sampling_from_nowhere(minilm):
    with pytest.raises(SystemExit, match="no checkpoint 'nowhere'"):
        minilm("sample", "--model", "nowhere")


def test_sampling_refuses_nothing_in_silence(minilm):
    with pytest.raises(SystemExit, match="new must be at least 1 token, not 0"):
        minilm("sample", "--new", 0)
    with pytest.raises(
        SystemExit, match=r"the prompt has \d+ tokens, and storyworld reads at most 336: shorten"
    ):
        minilm("sample", "One day " * 200)
    with pytest.raises(SystemExit, match="temperature must be a number of at least 0, not -1"):
        minilm("sample", "--temperature", -1)
    with pytest.raises(SystemExit, match="top_k must be a whole number of at least 1"):
        minilm("sample", "--top-k", 0)
    with pytest.raises(SystemExit, match="top_p must"):
        minilm("sample", "--top-p", 2)
    with pytest.raises(SystemExit, match="holds a lone surrogate"):
        minilm("sample", "caf\udce9")


def test_what_does_not_fit_into_the_window_is_said(monkeypatch, capsys):
    words = "One day, Ruby went to the market."
    model, tok = load_pretrained("storyworld")
    room = model.window - len(
        tok.encode(words)
    )  # the end-of-text token comes first, and the last token is never read
    for new in (room, room + 1):
        monkeypatch.setattr(sys, "argv", ["minilm", "sample", words, "--new", str(new), "--seed", "1"])
        cli.main()
        told = capsys.readouterr().err
        assert told == (
            "" if new == room else f"minilm: only {room} of {new} new tokens fit into the window of 336\n"
        )


def test_a_terminal_is_shown_control_characters_and_a_program_gets_them(minilm, monkeypatch):
    evil = "One\x1b[31m \u202eday\r\n"
    assert evil in minilm("sample", evil, "--new", 1, "--seed", 1)
    monkeypatch.setattr(terminal.sys.stdout, "isatty", lambda: True, raising=False)
    shown = minilm("sample", evil, "--new", 1, "--seed", 1)
    assert "One\\x1b[31m \\u202eday\\x0d\n" in shown and "\x1b" not in shown


@given(st.text())
def test_what_a_terminal_gets_holds_nothing_to_obey(text):
    shown = terminal.plain(text)
    assert not any(
        unicodedata.category(each).startswith("C") for each in shown if each not in "\n\t" and assigned(each)
    )
    shown.encode("utf-8")
    if not any(terminal.is_control(each) for each in text):
        assert shown == text


def assigned(letter: str) -> bool:
    """Whether Unicode gives the character a meaning: what has none is shown as it is."""
    return unicodedata.category(letter) not in ("Cn", "Co")


def test_methods_are_counted_on_any_shape(minilm, tmp_path):
    printed = minilm("methods")
    assert all(name in printed for name in METHODS)
    assert "124,439,808" in printed
    model = MiniLM(ModelConfig(vocab_size=300, context_length=32, n_layer=1, n_head=2, d_model=16))
    save_pretrained(tmp_path / "tiny", model, BPETokenizer.train(["some text"], vocab_size=258))
    size = sum(parameter.numel() for parameter in model.parameters())
    assert f"{size:,}" in minilm("methods", "--base", tmp_path / "tiny")

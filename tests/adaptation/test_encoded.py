"""A task in token ids: what is read, what is asked, what is written."""

from __future__ import annotations

import pytest
import torch

from minilm.adaptation import EncodedTask, Template
from minilm.adaptation.encoded import AT_ONCE
from minilm.datasets import LabelledSentence
from minilm.datasets.pairs import Pair
from minilm.evaluation.controlled import text_log_prob
from minilm.objectives import IGNORE


def test_prompt_and_target_spell_the_template(task):
    prompt, target = task.encode(task.records[0])
    read, end = task.tokenizer.decode, task.tokenizer.end_of_text
    assert prompt[0] == target[-1] == end
    assert read(prompt[1:]) == "Mia lost kite =" and read(target[:-1]) == " The kite was lost by Mia."


def test_batches_ask_for_the_targets_alone_and_show_every_record_once_an_epoch(task):
    batches, seen = task.batches(64, batch_size=11), []
    for index in range(10):
        batch = batches.batch(index)
        for row in batch.targets:
            seen.append(tuple(row[row != IGNORE].tolist()))
    assert sorted(seen) == sorted(tuple(target) for _, target in task.learned)


def test_loss_is_the_mean_surprise_of_every_target_token(task, base):
    nats = [
        text_log_prob(base, prompt + target) - text_log_prob(base, prompt) for prompt, target in task.judged
    ]
    n_token = sum(len(target) for _, target in task.judged)
    assert task.loss(base) == pytest.approx(-sum(nats) / n_token, rel=1e-5)


def test_write_takes_the_likeliest_token_until_the_end_or_the_longest_target(task, base):
    records = task.held_out[:3]
    for record, written in zip(records, task.write(base, records), strict=True):
        ids, new = task.prompt_ids(record), []
        while len(new) < task.longest:
            following = base(torch.tensor([[*ids, *new]])).logits[0, -1].argmax().item()
            if following == task.tokenizer.end_of_text:
                break
            new.append(following)
        assert written == task.tokenizer.decode(new).strip()


def test_samples_of_one_prompt_differ_from_batch_to_batch(task, base):
    texts = task.write(base, [task.held_out[0]] * 2 * AT_ONCE, temperature=1.0, seed=3)
    assert texts[:AT_ONCE] != texts[AT_ONCE:]
    assert texts == task.write(base, [task.held_out[0]] * 2 * AT_ONCE, temperature=1.0, seed=3)


def test_a_prompt_may_be_a_record_a_text_or_token_ids(task, base):
    record = task.held_out[0]
    asked = [record, record.prompt, task.prompt_ids(record)]
    assert len(set(task.write(base, asked))) == 1


@pytest.mark.parametrize("shots", [0, 1, 3])
def test_few_shot_prompts_show_so_many_solved_examples_then_the_question(task, shots):
    for number, prompt in enumerate(task.few_shot(200, shots)):
        lines = task.tokenizer.decode(prompt[1:]).split("\n")
        own = task.held_out[number].prompt
        assert prompt.count(task.tokenizer.end_of_text) == 1 and lines[-1] == f"{own} ="
        shown = [task.records[(number * shots + each) % len(task.records)] for each in range(shots)]
        assert lines[:-1] == [f"{each.prompt} = {each.target}" for each in shown]


def test_more_examples_than_fit_are_refused(task):
    with pytest.raises(
        ValueError, match=r"9 examples, a prompt and a target take up to \d+ tokens, but .* 64"
    ):
        task.few_shot(64, 9)


def test_the_label_chosen_is_the_likeliest(tokenizer, base):
    records = tuple(LabelledSentence(f"{name} lost kite", 1) for name in ("Mia", "Tom", "Ben", "Rosa"))
    words = {"negative": "no", "positive": "yes"}
    task = EncodedTask(records, records, tokenizer, Template(words=words))
    for record, answer in zip(records, task.answers(base), strict=True):
        prompt = task.prompt_ids(record)
        likely = {label: text_log_prob(base, prompt + task.target_ids(label)) for label in words}
        rest = text_log_prob(base, prompt)  # the same for both labels
        assert answer == max(likely, key=lambda label: likely[label] - rest)


def test_a_written_word_is_read_as_its_label():
    template = Template(words={"negative": "no", "positive": "yes"})
    assert template.target("positive") == " yes" and template.read(" yes") == "positive"
    assert template.read(" perhaps") == "perhaps"


def test_an_example_longer_than_the_window_is_told_with_its_beginning(task):
    with pytest.raises(
        ValueError, match=r"example 0 of table has a prompt of \d+ .* reads 5: .*'Mia lost kite'"
    ):
        task.batches(5)
    with pytest.raises(ValueError, match="longer than the window of 64"):
        task.room(64, [[0] * 65])


def test_an_empty_split_is_named(tokenizer):
    record = Pair("a", "b")
    with pytest.raises(ValueError, match="the held-out split of table is empty"):
        EncodedTask((record,), (), tokenizer, Template(), "table")
    with pytest.raises(ValueError, match="the training split of table is empty"):
        EncodedTask((), (record,), tokenizer, Template(), "table")


def test_a_template_that_joins_prompt_and_target_is_refused(tokenizer):
    record = Pair("Mia lost", "kite")
    with pytest.raises(ValueError, match="into one word: part them"):
        EncodedTask((record,), (record,), tokenizer, Template(after="", answer=""))
    with pytest.raises(ValueError, match="after must be a text, not 3"):
        Template(after=3)

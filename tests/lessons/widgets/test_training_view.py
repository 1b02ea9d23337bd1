"""The dashboard's view: what is known is shown, what is not is a dash, and nothing a model writes can break it."""

import math

import pytest

from lessons.widgets.views.run import Run
from lessons.widgets.views.training import describe, training_view
from minilm.training import EvaluationRecord, StepRecord


def a_run(taken=50, steps=100, state="running", sample="the sea", loss=2.0, **changes) -> Run:
    records = [
        StepRecord(i, steps, loss + 4 / i, 1e-3, 1.0, 1000.0 * i, i * 0.5) for i in range(1, taken + 1)
    ]
    evaluations = [EvaluationRecord(i, loss + 4 / (i + 1), sample) for i in range(0, taken + 1, 10)]
    return Run("run 1", steps, state, records, evaluations, n_parameter=1234, **changes)


def test_progress_time_left_and_figures(read):
    text = read(training_view([a_run()], floor=1.6)).text
    assert "step 50 of 100" in text
    assert "25 s left" in text  # half a second a step
    assert "1,234 parameters" in text
    assert "entropy floor 1.60" in text
    held_out = 2 + 4 / 51
    assert f"{held_out:.3f}" in text
    assert f"{100 * (held_out / 1.6 - 1):.0f}\u202f%above the floor" in text


def test_time_left_counts_only_this_part_of_a_resumed_run():
    run = a_run(taken=60)
    run.resumed_at = StepRecord(50, 100, 1.0, 1e-3, 1.0, 1.0, 15.0)
    assert run.seconds_left == pytest.approx(40 * (30 - 15) / 10)


def test_before_the_first_step_nothing_is_invented(read):
    for runs in ([], [Run("run 1", 10)]):
        page = read(training_view(runs, floor=1.0))
        assert "–" in page.text
        assert "nan" not in page.text
        assert "not started yet" in page.text


def test_samples_come_newest_first_and_escaped(read):
    run = a_run()
    run.evaluations = [EvaluationRecord(step, None, f"<b>{step}</b> & \x00") for step in range(9)]
    page = read(training_view([run]))
    assert "b" not in page.tags or "<b>8</b>" in page.text
    places = [page.text.index(f"<b>{step}</b>") for step in (8, 7, 6, 5, 4, 3, 0)]
    assert places == sorted(places)  # the one from before training stays, below the newest
    assert "before" in page.text
    assert "<b>1</b>" not in page.text


def test_several_runs_are_overlaid_and_listed(read):
    runs = [a_run(state="finished"), a_run(loss=1.5, state="stopped", settings="width <64>")]
    runs[1].name, runs[1].number = "run 2", 1
    page = read(training_view(runs, floor=1.0))
    assert page.tags.count("tr") == 3
    assert "width <64>" in page.text
    assert "stopped; what was learnt is kept" in page.text
    strokes = {value for name, value in page.attributes if name == "stroke"}
    assert {"var(--mlm-series-0)", "var(--mlm-series-1)"} <= strokes


def test_the_same_data_give_the_same_characters():
    assert training_view([a_run()], 1.0) == training_view([a_run()], 1.0)


def test_a_long_run_stays_small(read):
    runs = [a_run(taken=5000, steps=5000) for _ in range(6)]
    for run in runs:
        run.evaluations = run.evaluations[::25]
    read(training_view(runs, floor=1.0))


def test_losses_that_are_no_numbers_are_shown_as_missing(read):
    run = a_run(state="failed")
    run.records.append(StepRecord(51, 100, math.nan, 1e-3, math.inf, 1.0, 26.0))
    run.evaluations.append(EvaluationRecord(51, math.inf, None))
    page = read(training_view([run], 1.0))
    assert "failed" in page.text
    assert not any("nan" in (value or "") or "inf" in (value or "").split() for _, value in page.attributes)


def test_without_held_out_text_the_training_loss_is_drawn(read):
    run = a_run()
    run.evaluations = []
    page = read(training_view([run]))
    assert "training loss" in describe(run)
    assert "held-out loss" not in describe(run)
    assert any(name == "stroke" and value == "var(--mlm-series-0)" for name, value in page.attributes)


def test_how_to_stop_is_told_only_while_it_runs(read):
    assert "press here" in read(training_view([a_run(hint="press here")])).text
    assert "press here" not in read(training_view([a_run(hint="press here", state="finished")])).text

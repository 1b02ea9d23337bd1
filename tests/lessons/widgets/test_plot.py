"""Charts: values land where the axis says, ticks are round, thinning keeps the mean."""

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lessons.widgets.views.plot import Axis, Line, Mark, axis_for, chart, smooth, thin

finite = st.floats(-1e6, 1e6)
positive = st.floats(1e-6, 1e6)


@given(finite, finite, st.floats(0, 1))
@settings(deadline=None)
def test_a_linear_axis_places_in_proportion(a, b, share):
    low, high = min(a, b), max(a, b)
    assume(high - low > 1e-3)
    axis = Axis(low, high)
    assert axis.place(low + share * (high - low)) == pytest.approx(share, abs=1e-6)


@given(positive, positive, positive)
@settings(deadline=None)
def test_on_a_log_axis_equal_factors_are_equal_ways(a, b, value):
    low, high = min(a, b), max(a, b)
    assume(high / low > 1.01)
    axis = Axis(low, high, log=True)
    step = axis.place(2 * value) - axis.place(value)
    assert step == pytest.approx(math.log(2) / math.log(high / low), rel=1e-6)


@given(st.lists(positive, min_size=1), st.booleans(), st.integers(1, 8))
@settings(deadline=None)
def test_ticks_lie_on_the_axis_in_order_and_are_not_too_many(values, log, count):
    axis = axis_for(values, log)
    ticks = axis.ticks(count)
    assert ticks == sorted(set(ticks))
    assert all(-0.01 <= axis.place(tick) <= 1.01 for tick in ticks)
    assert len(ticks) <= 2 * count + 2


@given(st.lists(st.floats(), max_size=20), st.booleans())
@settings(deadline=None)
def test_an_axis_shows_all_values_that_it_can(values, log):
    axis = axis_for([v for v in values if not abs(v) > 1e100], log)
    for value in values:
        if abs(value) <= 1e100 and (value > 1e-200 or not log):
            assert -1e-9 <= axis.place(value) <= 1 + 1e-9


@pytest.mark.parametrize("low, high, log", [(1, 1, False), (2, 1, False), (0, 1, True), (-1, 1, True)])
def test_an_axis_without_extent_is_refused(low, high, log):
    with pytest.raises(ValueError, match="low < high"):
        Axis(low, high, log)


@given(st.lists(finite, min_size=1, max_size=500), st.integers(1, 100))
@settings(deadline=None)
def test_thinning_keeps_order_number_and_overall_mean(y, most):
    x = list(range(len(y)))
    thin_x, thin_y = thin(x, y, most)
    assert len(thin_x) == len(thin_y) == min(len(y), most)
    assert thin_x == sorted(thin_x)
    assert min(y) - 1e-6 <= min(thin_y) and max(thin_y) <= max(y) + 1e-6
    if len(y) % most == 0:
        assert sum(thin_y) / len(thin_y) == pytest.approx(sum(y) / len(y), abs=1e-3)


@given(st.lists(finite, max_size=200), st.floats(0, 1))
@settings(deadline=None)
def test_smoothing_is_the_mean_of_a_symmetric_neighbourhood(y, width):
    smoothed = smooth(y, width)
    assert len(smoothed) == len(y)
    for i, value in enumerate(smoothed):
        reach = min(round(width * len(y) / 2), i, len(y) - 1 - i)
        around = y[i - reach : i + reach + 1]
        assert value == pytest.approx(sum(around) / len(around), abs=1e-3)


def test_a_straight_line_is_smoothed_to_itself():
    assert smooth([2.0 * i for i in range(50)], 0.3) == pytest.approx([2.0 * i for i in range(50)])


def test_a_curve_runs_through_its_points_and_breaks_at_gaps():
    drawn = chart([Line([0, 1, 2, 3], [0, 1, math.nan, 1], "red")], Axis(0, 4), Axis(0, 2), "a curve")
    assert 'd="M0 300L250 150M750 150"' in drawn


def test_a_chart_without_data_still_draws_its_frame():
    drawn = chart([], axis_for([]), axis_for([]), "nothing", levels=[(0.5, "half")])
    assert "half" in drawn
    assert 'aria-label="nothing"' in drawn


def test_a_single_point_can_be_seen():
    assert 'class="points"' in chart([Line([1], [1], "red")], Axis(0, 2), Axis(0, 2), "a point")


def test_strips_share_the_width_and_hold_what_is_told():
    drawn = chart([], Axis(0, 10), Axis(0, 1), "x", readouts=[(0, "first"), (5, "<second>"), (10, "third")])
    assert drawn.count("width:25%") == 2 and drawn.count("width:50%") == 1
    assert "&lt;second&gt;" in drawn


def test_marks_stand_at_their_values_with_names_on_the_side_that_has_room(read):
    marks = [Mark(1.0, 10.0, "<left>", "red"), Mark(9.0, 20.0, "right", "blue")]
    drawn = chart([], Axis(0.0, 10.0), Axis(0.0, 20.0), "marks", marks=marks)
    assert 'class="mark" style="left:10%;bottom:50%;background:red"><span>&lt;left&gt;' in drawn
    assert 'class="mark left" style="left:90%;bottom:100%;background:blue"><span>right' in drawn


def test_a_narrow_logarithmic_axis_has_round_ticks():
    assert Axis(5.2, 5.58, log=True).ticks() == [5.2, 5.3, 5.4, 5.5]

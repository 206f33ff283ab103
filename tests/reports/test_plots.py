"""What is drawn: lines, bars and clouds with the runs' values, thinned."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from epp.reports import PodTimeline
from epp.reports.plots import (
    MOST_PODS,
    POINTS,
    draw_distributions,
    draw_hits,
    draw_predicted_hits,
    draw_predicted_ttft,
    draw_timelines,
    has_predictions,
    panel_rows,
    shown,
    thinned,
)
from tests.reports.made import calls_of, plausible_run, run_of

RUNS = {name: [plausible_run(name, seed, calls=300) for seed in (1, 2)] for name in ("one", "two")}
NOTHING = {"dead": [run_of(calls_of(0))]}


def test_distributions_have_a_line_per_policy_through_its_quantiles() -> None:
    figure = Figure()
    draw_distributions(figure, RUNS)
    assert [len(axis.lines) for axis in figure.axes] == [2, 2, 2]
    times, shares = figure.axes[0].lines[0].get_data()
    ttft = np.concatenate([run.calls.ttft_s[run.calls.ok] for run in RUNS["one"]])
    assert np.interp(0.5, shares, times) == pytest.approx(np.median(ttft), rel=0.02)
    assert len(times) <= POINTS


def test_hits_stand_before_their_ceiling() -> None:
    runs = {"one": [run_of(calls_of(3, prompt_tokens=100, cached_tokens=[20, 40, -1], reusable_tokens=50))]}
    figure = Figure()
    draw_hits(figure, runs)
    assert [bar.get_width() for bar in figure.axes[0].patches] == [50.0, 30.0]


def test_timelines_have_a_line_per_pod() -> None:
    figure = Figure()
    draw_timelines(figure, RUNS)
    assert [len(axis.lines) for axis in figure.axes] == [4] * 6
    assert all(axis.get_ylim()[1] >= max(line.get_ydata().max() for line in axis.lines) for axis in figure.axes)


def test_of_many_pods_least_median_and_most_are_drawn() -> None:
    pods = MOST_PODS + 1
    values = np.tile(np.arange(pods, dtype=float), (5, 1))
    timeline = PodTimeline(np.arange(5.0), values, values, values / pods)
    figure = Figure()
    draw_timelines(figure, {"wide": [run_of(calls_of(1), timeline=timeline)]})
    assert [line.get_ydata()[0] for line in figure.axes[0].lines] == [0.0, MOST_PODS / 2, MOST_PODS]


def test_predictions_have_a_panel_per_policy() -> None:
    for draw in (draw_predicted_ttft, draw_predicted_hits):
        figure = Figure()
        draw(figure, RUNS)
        cloud = figure.axes[0].lines[0]
        assert 0 < len(cloud.get_xdata()) <= POINTS
    assert [panel_rows(count) for count in (1, 5, 6, 13)] == [1, 1, 2, 3]


@pytest.mark.parametrize(
    "draw", [draw_distributions, draw_hits, draw_timelines, draw_predicted_ttft, draw_predicted_hits]
)
def test_nothing_can_be_drawn(draw: object) -> None:
    assert callable(draw)
    draw(Figure(), NOTHING)


def test_whether_there_are_predictions() -> None:
    assert has_predictions(RUNS["one"][0])
    assert not has_predictions(run_of(calls_of(3)))


def test_thinning_keeps_the_mean() -> None:
    at_s, values = thinned(np.arange(POINTS * 7.0), np.arange(POINTS * 7.0)[:, None])
    assert len(at_s) == POINTS
    assert values.mean() == pytest.approx((POINTS * 7 - 1) / 2)
    few, same = thinned(np.arange(3.0), np.ones((3, 2)))
    assert (few.tolist(), same.shape) == ([0.0, 1.0, 2.0], (3, 2))


def test_long_names_are_cut() -> None:
    assert shown("consistent-hashing-with-bounded-load") == "consistent-hashing-with-bou…"
    assert shown("a\nb") == "a\\nb"

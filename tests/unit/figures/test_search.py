import dataclasses
from collections import Counter

import numpy as np
import pytest

from mlpsweep.figures.parallel import parallel_coordinates
from mlpsweep.figures.search import (
    FIGURES,
    draw_search,
    history,
    importances,
    intermediate_values,
    slice_panel,
    slices,
    timeline,
    work_time,
)
from mlpsweep.search.rows import Search, Stint


def labelled(axes):
    handles, names = axes.get_legend_handles_labels()
    return dict(zip(names, handles, strict=True))


def bars_of(collection):
    """Start, width and lane of each bar, rounded."""
    boxes = [path.get_extents() for path in collection.get_paths()]
    return [(round(box.x0), round(box.width), round((box.y0 + box.y1) / 2)) for box in boxes]


def test_history_shows_every_value_and_the_best_so_far(search):
    drawn = labelled(history(search).axes[0])
    np.testing.assert_allclose(drawn["complete"].get_offsets(), [(0, 0.90), (1, 0.96), (2, 0.96), (4, 0.98), (7, 0.93)])
    np.testing.assert_allclose(drawn["pruned"].get_offsets()[:, 0], [3, 5])
    assert drawn["best so far"].get_ydata().tolist() == [0.90, 0.96, 0.96, 0.98, 0.98]
    np.testing.assert_allclose(drawn["best, trial 4"].get_offsets(), [(4, 0.98)])


def test_best_so_far_of_a_loss_falls(search):
    by_loss = dataclasses.replace(search, metric="validation/loss")
    assert labelled(history(by_loss).axes[0])["best so far"].get_ydata().tolist() == [0.90] * 5


def test_a_slice_leaves_out_trials_without_the_parameter(search):
    drawn = labelled(slice_panel(search, "hidden_sizes.2").axes[0])
    assert len(drawn["complete"].get_offsets()) == 2
    assert "best, trial 4" not in drawn


def test_slices_have_one_panel_per_varying_parameter(search):
    titles = [axes.get_title(loc="left") for axes in slices(search).axes if axes.axison]
    assert titles == list(search.varying_params)


def test_names_are_spread_within_their_own_column(search):
    drawn = labelled(slice_panel(search, "activation").axes[0])
    x = drawn["complete"].get_offsets()[:, 0]
    assert np.abs(x - np.round(x)).max() < 0.2
    assert len(set(x.tolist())) == 5


def test_importances_have_the_strongest_on_top(search):
    axes = importances(search).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    widths = [bar.get_width() for bar in axes.patches]
    assert (names, widths) == (["activation", "learning_rate"], [0.3, 0.7])
    assert axes.get_xlabel() == "PED-ANOVA over 5 complete trials"


@pytest.mark.parametrize(("log_scaled", "position"), [(frozenset(), 0.0), (frozenset({"learning_rate"}), -2.0)])
def test_panels_have_the_scales_that_were_drawn_from(search, log_scaled, position):
    known = dataclasses.replace(search, log_scaled=log_scaled)
    drawn = labelled(slice_panel(known, "learning_rate").axes[0])["complete"].get_offsets()
    assert drawn[0][0] == pytest.approx(position, abs=0.1)
    names = {text.get_text() for text in parallel_coordinates(known).axes[0].texts}
    assert ("learning_rate\n(log scale)" in names) is bool(log_scaled)


def test_pruned_trials_end_in_a_marker(search):
    drawn = labelled(intermediate_values(search).axes[0])
    np.testing.assert_allclose(drawn["pruned"].get_xydata(), [(1, 0.45), (1, 0.45)])
    assert drawn["best, trial 4"].get_ydata().tolist() == [y for _, y in search.best.intermediate]


def test_every_trial_has_a_curve_be_it_at_work_or_failed(search):
    under_way = tuple(dataclasses.replace(trial, state="running", value=None) for trial in search.trials)
    axes = intermediate_values(dataclasses.replace(search, trials=under_way)).axes[0]
    (curves,) = axes.collections
    assert [len(curve) for curve in curves.get_segments()] == [2, 2, 2, 1, 2, 1, 2]  # trial 6 has reported nothing
    assert axes.get_xlim()[0] < 1 < 2 < axes.get_xlim()[1] < 2.5


def test_timeline_has_a_lane_per_worker_and_a_bar_per_trial(search):
    axes = timeline(search).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["host:0", "host:1"]
    bars = [bar for kind in axes.collections for bar in bars_of(kind)]
    assert {(start, width) for start, width, _ in bars} == {(0, 8), (10, 8), (20, 8), (30, 8)}
    assert Counter(lane for _, _, lane in bars) == {0: 4, 1: 4}
    assert axes.get_xlabel() == "time since the first start, s"


def test_a_trial_that_paused_has_a_bar_for_each_time_and_counts_once(search):
    first, *others = search.trials
    stints = (Stint("host:0", 0.0, 2.0), Stint("host:1", 5.0, 9.0))
    twice = dataclasses.replace(search, trials=(dataclasses.replace(first, state="paused", stints=stints), *others))
    paused = labelled(timeline(twice).axes[0])["paused (1)"]
    assert [width for _, width, _ in bars_of(paused)] == [2, 4]


@pytest.fixture
def many(search):
    """Four thousand trials, half of them complete."""
    every = (dataclasses.replace(search.trials[n % 2 * 3], number=n) for n in range(4000))
    return dataclasses.replace(search, trials=tuple(every))


def test_the_marks_of_thousands_are_weaker_and_those_of_few_as_ever(search, many):
    sizes = [labelled(history(one).axes[0])["complete"].get_sizes().tolist() for one in (search, many)]
    assert sizes == [[16.0], [4.0]]
    alphas = [intermediate_values(one).axes[0].collections[0].get_alpha() for one in (search, many)]
    assert alphas == [0.35, 0.35 / 4]
    widths = [parallel_coordinates(one).axes[0].collections[0].get_linewidths().tolist() for one in (search, many)]
    assert widths == [[0.8], [0.2]]  # two thousand lines


def test_the_numbers_of_thousands_of_trials_stand_apart(many):
    figure = history(many)
    figure.draw_without_rendering()
    labels = figure.axes[0].get_xticklabels()
    boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.x0)
    assert all(left.x1 + 3 < right.x0 for left, right in zip(boxes, boxes[1:], strict=False))


@pytest.mark.parametrize("name", ["intermediate_values", "timeline"])
def test_a_figure_of_thousands_has_few_artists(many, name):
    axes = draw_search(many)[name].axes[0]
    assert len(axes.lines) + len(axes.patches) + len(axes.collections) < 10


def test_work_time_by_hand(search):
    # Two workers over 38 s, four trials of 8 s each: 64 of 76 s busy.
    worked = work_time(search)
    assert (worked.seconds, worked.n_workers) == (38.0, 2)
    assert worked.busy_share == pytest.approx(64 / 76)


def test_work_time_without_times_is_unknown(search):
    timeless = tuple(dataclasses.replace(t, stints=()) for t in search.trials)
    assert work_time(dataclasses.replace(search, trials=timeless)) is None


def test_parallel_coordinates_have_a_line_per_complete_trial_the_best_last(search):
    axes = parallel_coordinates(search).axes[0]
    (others,) = axes.collections
    assert len(others.get_segments()) == 4
    best = labelled(axes)["best, trial 4"].get_ydata()
    assert best[-1] == 1.0
    # relu is the first of two names; hidden_sizes.2 does not apply to trial 4
    assert best[0] == 0.0
    assert best[3] < 0
    names = [text.get_text() for text in axes.texts]
    assert {"activation", "hidden_sizes.2", "none", "98.00 %", "90.00 %"} <= set(names)
    assert "batch_size" not in names


@pytest.mark.slow
@pytest.mark.parametrize("n_trials", [1, 2, 8])
def test_searches_of_any_length_can_be_drawn(search, n_trials):
    short = dataclasses.replace(search, trials=search.trials[:n_trials])
    for figure in draw_search(short).values():
        figure.draw_without_rendering()


def test_figures_come_in_reading_order(search):
    assert list(draw_search(search)) == [kind.name for kind in FIGURES]


@pytest.mark.parametrize(
    ("trials", "names"),
    [((), set()), ((6,), {"timeline"}), ((3, 5), {"intermediate_values", "timeline"})],
    ids=["empty", "failed", "pruned"],
)
def test_what_has_nothing_to_show_is_left_out(search, trials, names):
    part = Search(search.study, search.metric, tuple(search.trials[k] for k in trials))
    assert set(draw_search(part)) == names

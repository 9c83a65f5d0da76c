import pytest
from matplotlib.figure import Figure

from mlpsweep.figures.axes import error_axis, metric_axis, scale_of, time_unit


def drawn_axis(metric, values):
    axes = Figure().subplots()
    axes.plot(range(len(values)), values)
    metric_axis(axes, metric, values)
    labels = [axes.yaxis.get_major_formatter()(tick) for tick in axes.get_yticks()]
    return axes, labels


def test_accuracies_near_each_other_stay_on_a_linear_axis_in_percent():
    axes, labels = drawn_axis("validation/accuracy", [0.970, 0.975, 0.980])
    assert axes.get_yscale() == "linear"
    assert {"97 %", "97.2 %", "98 %"} <= set(labels)


def test_a_few_bad_accuracies_do_not_squeeze_the_good_ones():
    axes, labels = drawn_axis("validation/accuracy", [0.1, 0.97, 0.98, 0.983])
    low, good, best = (axes.transData.transform((0, y))[1] for y in (0.1, 0.97, 0.983))
    assert (best - good) / (best - low) > 0.1  # 1.5 % of a linear axis
    assert {"10 %", "50 %", "98 %"} <= set(labels)
    assert axes.get_ylabel() == "validation/accuracy\n(log of the error)"


def test_a_perfect_accuracy_has_a_place_above_all_others():
    axes, labels = drawn_axis("validation/accuracy", [0.1, 0.97, 0.99, 1.0])
    low, good, best = (axes.transData.transform((0, y))[1] for y in (0.1, 0.99, 1.0))
    assert axes.bbox.y0 <= low < good < best <= axes.bbox.y1
    assert (best - good) / (best - low) < 0.3
    assert {"10 %", "98 %", "100 %"} <= set(labels)


def test_errors_are_spaced_by_their_logarithm():
    axes = Figure().subplots()
    error_axis(axes, [0.4, 0.04, 0.004])
    heights = [axes.transData.transform((0, y))[1] for y in (0.4, 0.04, 0.004)]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2])
    assert axes.get_ylabel() == "error, log scale"


@pytest.mark.parametrize(("is_log", "place"), [(True, -1.0), (False, 0.1)])
def test_a_parameter_is_drawn_on_the_scale_it_was_drawn_from(is_log, place):
    scale = scale_of([0.1, 0.11, 0.12, 0.3], is_log=is_log)
    assert scale.position(0.1) == pytest.approx(place)
    axis = Figure().subplots().xaxis
    scale.draw(axis)
    assert axis.get_label_text() == ("log scale" if is_log else "")


@pytest.mark.parametrize("values", [[1.0, 0.5], [0.98], []])
def test_perfect_single_and_absent_accuracies_have_an_axis(values):
    axes, _ = drawn_axis("test/accuracy", values)
    axes.figure.draw_without_rendering()
    assert axes.get_ylabel() == "test/accuracy"
    assert axes.get_yscale() == "linear"


def test_losses_over_decades_are_logarithmic_with_plain_ticks():
    axes, labels = drawn_axis("train/loss", [2.3, 0.3, 0.01])
    assert axes.get_yscale() == "log"
    assert labels[0] == "0.01"
    assert axes.get_ylabel() == "train/loss, nats\n(log scale)"


@pytest.mark.parametrize("values", [[0.3, 0.2], [0.0, 1.0], [0.5]])
def test_other_losses_are_linear(values):
    assert drawn_axis("loss", values)[0].get_yscale() == "linear"


def test_names_get_places_in_alphabetical_order():
    scale = scale_of(["tanh", "relu", "tanh", True])
    assert scale.ticks == ((0.0, "relu"), (1.0, "tanh"), (2.0, "true"))
    assert scale.position("tanh") == 1.0


def test_numbers_drawn_over_decades_are_logarithmic():
    scale = scale_of([0.003, 0.01, 0.03, 0.1, 0.3])
    assert scale.is_log
    assert scale.position(0.01) == pytest.approx(-2)
    assert (-1.0, "0.1") in scale.ticks


def test_numbers_drawn_evenly_are_linear_however_small_the_smallest():
    scale = scale_of([0.0001, 0.02, 0.04, 0.06, 0.08, 0.1])
    assert not scale.is_log
    assert scale.position(0.04) == 0.04


@pytest.mark.parametrize("values", [[1, 2, 3], [2, 2], [-5, 5], [0, 100]])
def test_whole_numbers_have_whole_ticks_within_their_range(values):
    ticks = [position for position, _ in scale_of(values).ticks]
    assert ticks
    assert all(min(values) <= tick <= max(values) and tick == int(tick) for tick in ticks)


@pytest.mark.parametrize(("seconds", "unit"), [(10, "s"), (179, "s"), (180, "min"), (20_000, "h")])
def test_durations_have_a_unit_that_reads_well(seconds, unit):
    assert time_unit(seconds)[0] == unit

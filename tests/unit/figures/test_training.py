from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from mlpsweep.evaluation.statistics import calibration
from mlpsweep.figures import confusion as matrices
from mlpsweep.figures import errors as error_figures
from mlpsweep.figures.training import comparison, curves, first_layer, sample_grid
from mlpsweep.tables import counted
from mlpsweep.training.history import BatchRecord, EpochRecord, History


def record(epoch: int, **measured: float) -> EpochRecord:
    values = {"learning_rate": 0.1, "train_loss": 1.0 / epoch, "train_penalty": 0.0, "train_accuracy": 1 - 0.5 / epoch}
    return EpochRecord(epoch=epoch, update=10 * epoch, **values, **measured)


def legend_of(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def images_of(figure):
    return [image for axes in figure.axes for image in axes.get_images()]


def texts_of(figure):
    return {text.get_text() for axes in figure.axes for text in (*axes.texts, axes.title)}


def test_grid_shows_every_image_under_its_label(rng):
    images = rng.integers(256, size=(13, 64), dtype=np.uint8)
    figure = sample_grid(images, [f"n{i}" for i in range(13)], (8, 8), "samples", n_columns=5)
    shown = images_of(figure)
    assert len(shown) == 13
    np.testing.assert_array_equal(shown[12].get_array(), images[12].reshape(8, 8))
    assert {image.get_clim() for image in shown} == {(0, images.max())}
    label = figure.axes[0].texts[12]
    left, right, bottom, top = shown[12].get_extent()
    assert label.get_text() == "n12"
    assert left < label.get_position()[0] < right
    assert label.get_position()[1] < top < bottom  # y runs downwards
    assert (left, top) == pytest.approx((shown[2].get_extent()[0], shown[10].get_extent()[3]))


@pytest.mark.parametrize("title", ["t", "a title that is much longer than the images are wide"])
def test_nothing_is_cut_off_a_grid(rng, title):
    images = rng.integers(256, size=(2, 28 * 20), dtype=np.uint8)
    figure = sample_grid(images, ["9 → 4\n99.9 %", "a long class name"], (28, 20), title)
    renderer, frame = FigureCanvasAgg(figure).get_renderer(), figure.bbox
    for text in (*figure.texts, *figure.axes[0].texts, *images_of(figure)):
        box = text.get_window_extent(renderer)
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        assert frame.y0 <= box.y0
        assert box.y1 <= frame.y1


def test_grid_of_no_images_is_a_titled_figure():
    figure = sample_grid(np.empty((0, 64), np.uint8), [], (8, 8), "none")
    figure.draw_without_rendering()
    assert figure.get_suptitle() == "none"


def test_curves_draw_the_splits_that_were_measured():
    records = tuple(record(k, validation_loss=1.1 / k, validation_accuracy=1 - 0.6 / k) for k in (1, 2, 3))
    figure = curves(History(records), "relu")
    assert legend_of(figure) == ["train", "validation"]
    loss, error = figure.axes
    np.testing.assert_allclose(loss.lines[1].get_xydata(), [(k, 1.1 / k) for k in (1, 2, 3)])
    np.testing.assert_allclose(error.lines[0].get_ydata(), [0.5 / k for k in (1, 2, 3)])
    assert (loss.get_ylabel(), error.get_ylabel(), loss.get_xlabel()) == ("loss, nats", "error, log scale", "epoch")
    assert figure.get_suptitle() == "relu, validation accuracy 80.00 %"


@pytest.mark.parametrize("n_epochs", [0, 1])
def test_curves_of_a_short_training_can_be_drawn(n_epochs):
    figure = curves(History(tuple(record(k + 1) for k in range(n_epochs))), "short")
    figure.draw_without_rendering()
    assert [len(axes.lines) for axes in figure.axes] == [n_epochs, n_epochs]


def test_models_differ_in_colour_and_marker():
    figure = comparison({"a": [(1, 0.5), (2, 0.6)], "b": [(1, 0.4), (2, 0.7)]}, "validation/accuracy")
    first, second = figure.axes[0].lines
    assert first.get_color() != second.get_color()
    assert first.get_marker() != second.get_marker()
    assert legend_of(figure) == ["a", "b"]


def test_confusion_matrix_shows_counts_and_percentages():
    counts = np.array([[48, 2], [0, 50]])
    left, right, bar = matrices.confusion_matrix(counts, ("cat", "dog"), "t").axes
    assert bar.get_ylabel() == "share of the true class"
    assert [text.get_text() for text in left.texts] == ["48", "2", "", "50"]
    assert [text.get_text() for text in right.texts] == ["96.0", "4.0", "", "100"]
    assert [label.get_text() for label in left.get_yticklabels()] == ["cat", "dog"]
    assert (left.get_xlabel(), left.get_ylabel()) == ("predicted class", "true class")


def test_a_class_without_samples_is_an_empty_row():
    shares = matrices.normalise_rows(np.array([[3, 1], [0, 0]]))
    np.testing.assert_array_equal(shares, [[0.75, 0.25], [0, 0]])


def test_difference_shows_signed_counts():
    figure = matrices.difference(np.array([[9, 1], [0, 5]]), np.array([[6, 4], [0, 5]]), ("a", "b"), "t")
    assert [text.get_text() for text in figure.axes[0].texts] == ["+3", "\u22123", "", ""]


def test_colour_says_which_model_is_better():
    figure = matrices.difference(
        np.array([[9, 1], [2, 5]]), np.array([[6, 4], [0, 7]]), ("a", "b"), "t", ("new", "old")
    )
    (image,) = images_of(figure)
    np.testing.assert_array_equal(np.sign(image.get_array()), [[1, 1], [-1, -1]])
    key = {text.get_text(): patch.get_facecolor() for text, patch in zip(figure.legends[0].get_texts(),
           figure.legends[0].get_patches(), strict=True)}  # fmt: skip
    for name, cell in (("new is better", (0, 0)), ("old is better", (1, 1))):
        assert np.argmax(image.to_rgba(image.get_array())[cell][:3]) == np.argmax(key[name][:3])


@pytest.mark.parametrize(("n_classes", "has_bars"), [(30, False), (31, True)])
def test_of_many_classes_the_most_confused_pairs_are_bars(n_classes, has_bars):
    counts = 50 * np.eye(n_classes, dtype=int)
    counts[3, 5], counts[5, 3], counts[1, 2] = 4, 3, 6
    names = [f"c{k}" for k in range(n_classes)]
    axes = matrices.confusion_panel(counts, names, "t").axes[0]
    assert bool(axes.patches) is has_bars
    if has_bars:
        assert [bar.get_width() for bar in axes.patches] == [6, 7]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["c1 and c2", "c3 and c5"]
        assert [bar.get_width() for bar in matrices.difference(counts, counts[::-1, ::-1], names, "t").axes[0].patches]


def test_equal_matrices_have_an_empty_difference():
    figure = matrices.difference(np.eye(2, dtype=int), np.eye(2, dtype=int), ("a", "b"), "t")
    assert {text.get_text() for text in figure.axes[0].texts} == {""}


def test_surest_error_comes_first(evaluation, tiny_dataset):
    order = error_figures.surest_errors(evaluation)
    assert (evaluation.labels[order] != evaluation.predicted_labels[order]).all()
    assert len(order) == (evaluation.labels != evaluation.predicted_labels).sum()
    assert (np.diff(evaluation.confidence[order]) <= 0).all()
    test = tiny_dataset.test
    figure = error_figures.misclassified(test.images[test.rows], evaluation, (8, 8), "t", n_images=3)
    first = order[0]
    true, predicted = evaluation.labels[first], evaluation.predicted_labels[first]
    assert figure.axes[0].texts[0].get_text() == f"{true} → {predicted}\n{100 * evaluation.confidence[first]:.2f} %"
    np.testing.assert_array_equal(images_of(figure)[0].get_array(), test.images[test.rows][first].reshape(8, 8))
    assert f"the 3 surest of {len(order)} errors" in figure.get_suptitle()


def test_confused_pairs_show_both_directions_with_their_counts(evaluation, tiny_dataset):
    test = tiny_dataset.test
    figure = error_figures.confused_examples(test.images[test.rows], evaluation, (8, 8), "t", n_pairs=1, n_images=2)
    pair = evaluation.confused_pairs[0]
    lines = (
        {f"{pair.first} → {pair.second} ({counted(pair.first_as_second, 'image')})"} if pair.first_as_second else set()
    )
    if pair.second_as_first:
        lines.add(f"{pair.second} → {pair.first} ({counted(pair.second_as_first, 'image')})")
    assert lines <= texts_of(figure)
    assert len(images_of(figure)) == min(2, pair.first_as_second) + min(2, pair.second_as_first)


def test_reliability_draws_filled_bins_with_their_intervals(rng):
    confidence = rng.uniform(0.5, 1.0, 300)
    measured = calibration(confidence, rng.uniform(size=300) < confidence, n_bins=10)
    upper, lower = error_figures.reliability(measured, "t").axes
    points = upper.containers[0].lines[0].get_xydata()
    np.testing.assert_allclose(points, np.column_stack([measured.confidence, measured.accuracy])[5:])
    assert [bar.get_height() for bar in lower.patches] == measured.counts.tolist()
    assert not any("$" in label.get_text() for label in lower.get_yticklabels())


def test_first_layer_shows_the_strongest_units_on_one_scale_around_zero(rng):
    weights = rng.normal(size=(48, 13)).astype(np.float32) * np.arange(1, 14)
    figure = first_layer(weights, (8, 6), "units", n_units=12)
    shown = [image for image in images_of(figure) if image.get_array().shape == (8, 6)]
    assert len(shown) == 12
    strongest = np.argsort(-np.linalg.norm(weights, axis=0))
    np.testing.assert_array_equal(shown[11].get_array(), weights[:, strongest[11]].reshape(8, 6))
    (limits,) = {image.get_clim() for image in shown}
    assert limits[0] == -limits[1]
    assert np.quantile(np.abs(weights[:, strongest[:12]]), 0.9) < limits[1] <= np.abs(weights).max()
    assert figure.get_suptitle() == "units: the 12 strongest of 13 hidden units"


@pytest.mark.parametrize(("n_batches", "n"), [(3, 0), (20, 5), (90, 9)])
def test_few_batches_are_smoothed_too(n_batches, n):
    batches = tuple(BatchRecord(update=k, loss=1.0, accuracy=0.5) for k in range(1, n_batches + 1))
    figure = curves(History((replace(record(1), update=n_batches, batches=batches),)), "batches")
    assert legend_of(figure) == ["train", f"batches, mean of {n}" if n else "batch"]


def test_batches_without_an_error_are_a_smooth_line():
    batches = tuple(BatchRecord(update=k, loss=1.0, accuracy=1.0 - 0.5 * (k % 2)) for k in range(1, 61))
    figure = curves(History((replace(record(1), update=60, batches=batches),)), "batches")
    (line,) = [line for line in figure.axes[1].lines if line.get_label() == "batches, mean of 6"]
    np.testing.assert_allclose(line.get_ydata(), 0.25)
    np.testing.assert_allclose(line.get_xdata()[[0, -1]], [3.5 / 60, 57.5 / 60])


def test_curves_draw_single_batches_at_their_place_within_the_epoch():
    batches = tuple(
        BatchRecord(update=update, loss=1.0 / update, accuracy=0.5, validation_loss=2.0, validation_accuracy=0.4)
        for update in (5, 10)
    )
    figure = curves(History((replace(record(1), batches=batches),)), "batches")
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == "batch"]
    np.testing.assert_allclose(line.get_xydata(), [(0.5, 0.2), (1.0, 0.1)])
    np.testing.assert_allclose(figure.axes[0].lines[-1].get_xydata(), [(0.5, 2.0), (1.0, 2.0)])
    assert legend_of(figure) == ["train", "batch"]


def test_published_points_are_crosses_over_the_lines():
    series = {"a": [(1, 0.5), (2, 0.6)], "b": [(1, 0.4), (2, 0.7)]}
    figure = comparison(series, "test/accuracy", {"b": [(1, 0.45), (2, 0.65)]})
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    np.testing.assert_allclose(crosses[0].get_xydata(), [(1, 0.45), (2, 0.65)])
    assert len(crosses) == 1
    assert legend_of(figure) == ["a", "b", "published"]

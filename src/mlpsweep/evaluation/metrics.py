"""Figures of merit of one trained model on every split; ``folder`` writes them.

scikit-learn computes the figures, so that they mean what the reader expects.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import log_softmax
from sklearn.metrics import classification_report, confusion_matrix, roc_auc_score

from mlpsweep.data.dataset import Dataset, Split
from mlpsweep.errors import DataError
from mlpsweep.evaluation.statistics import Calibration, calibration, wilson_interval
from mlpsweep.training.blas import blas_threads
from mlpsweep.training.measure import Measurer, class_means
from mlpsweep.training.model import Model
from mlpsweep.types import FloatArray, IndexArray, LabelArray


@dataclass(frozen=True, slots=True)
class SplitMetrics:
    """Shares (0 .. 1) and loss (mean cross-entropy without penalty, nats) over the rows of one split.

    ``balanced_accuracy`` and ``macro_f1`` are means over the classes that have rows in it.
    """

    n_samples: int
    accuracy: float
    loss: float
    balanced_accuracy: float
    macro_f1: float


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Two classes that a model confuses.

    Parameters
    ----------
    first, second : str
        Names of the classes.
    first_as_second, second_as_first : int
        Samples of the one class that the model took for the other.
    """

    first: str
    second: str
    first_as_second: int
    second_as_first: int

    @property
    def count(self) -> int:
        """Confusions in both directions."""
        return self.first_as_second + self.second_as_first


@dataclass(frozen=True)
class Evaluation:
    """The figures of one model on every split, and its predictions for each row of the test split.

    Parameters
    ----------
    dataset, stands_in_for : str, str or None
        Identity from the manifest.
    title : str
        The data set's name for readers; the name of a stand-in also tells which set it stands in for.
    class_names : tuple of str
        One per class.
    model : mapping
        Metadata of the model, with its ``weights_hash``.
    splits : mapping of str to SplitMetrics
        Figures by split: ``train``, ``validation`` (absent if it has no rows) and ``test``.
    rows : ndarray of shape (n_samples,)
        Row numbers in the test file.
    labels, predicted_labels : ndarray of shape (n_samples,)
        True and predicted classes of the test split.
    probabilities : ndarray of shape (n_samples, n_classes), float64
        Class probabilities of the test split; each row sums to 1.
    confusion : ndarray of shape (n_classes, n_classes), int64
        Test samples by true class (row) and predicted class (column).
    report_text, report : str, dict
        scikit-learn's classification report in its two forms.
    """

    dataset: str
    stands_in_for: str | None
    title: str
    class_names: tuple[str, ...]
    model: Mapping[str, Any]
    splits: Mapping[str, SplitMetrics]
    rows: IndexArray
    labels: LabelArray
    predicted_labels: LabelArray
    probabilities: FloatArray
    confusion: LabelArray
    report_text: str
    report: Mapping[str, Any]

    @property
    def confidence(self) -> FloatArray:
        """Probability of each predicted class, of shape (n_samples,)."""
        return self.probabilities[np.arange(len(self.labels)), self.predicted_labels]

    @property
    def confused_pairs(self) -> tuple[ConfusedPair, ...]:
        """Pairs of classes that were confused at all, the most confused first."""
        return confused_pairs(self.confusion, self.class_names)

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the test accuracy."""
        return wilson_interval(int(np.trace(self.confusion)), len(self.labels))

    @property
    def calibration(self) -> Calibration:
        """How well the confidence matches the accuracy on the test split."""
        return calibration(self.confidence, self.labels == self.predicted_labels)

    @property
    def class_roc_auc(self) -> tuple[float | None, ...]:
        """Area under the ROC curve of each class against the rest; None for a class that is absent or alone."""
        return tuple(
            float(roc_auc_score(is_class, self.probabilities[:, k])) if 0 < is_class.sum() < len(is_class) else None
            for k, is_class in enumerate(self.labels == k for k in range(len(self.class_names)))
        )

    def metrics(self) -> dict[str, float]:
        """Return each split's figures, as ``test/accuracy``, and for test also ``roc_auc`` and ``calibration_error``.

        ``test/roc_auc`` is the mean over the classes, absent if the area of one class is None.
        """
        metrics = {f"{name}/{key}": value for name, m in self.splits.items() for key, value in asdict(m).items()}
        metrics = {name: value for name, value in metrics.items() if not name.endswith("/n_samples")}
        areas = [area for area in self.class_roc_auc if area is not None]
        if len(areas) == len(self.class_names):
            metrics["test/roc_auc"] = float(np.mean(areas))
        return metrics | {"test/calibration_error": self.calibration.expected_error}

    def final_metrics(self) -> dict[str, float]:
        """Return the metrics under names that do not continue the curves of the training, as ``train/final_loss``."""
        return {
            name if name.startswith("test/") else name.replace("/", "/final_"): value
            for name, value in self.metrics().items()
        }

    def __str__(self) -> str:
        """Return the figures of each split, and the most confused classes, as lines."""
        lines = [
            f"{name:<10}  accuracy {100 * split.accuracy:6.2f} %  loss {split.loss:.4f}  n = {split.n_samples}"
            for name, split in self.splits.items()
        ]
        test = self.splits["test"]
        lines.append(
            f"test, classes alike: balanced accuracy {100 * test.balanced_accuracy:.2f} %, "
            f"macro F1 {100 * test.macro_f1:.2f} %"
        )
        pairs = [f"{pair.first} and {pair.second} ({pair.count})" for pair in self.confused_pairs[:3]]
        return "\n".join([*lines, f"most confused on test: {', '.join(pairs) or 'nothing'}"])


def evaluate_model(model: Model, dataset: Dataset) -> Evaluation:
    """Measure a model on all splits of a data set, the test split in detail.

    Parameters
    ----------
    model : Model
        Not modified.
    dataset : Dataset
        Data set, loaded with its test split.

    Returns
    -------
    Evaluation

    Raises
    ------
    DataError
        If the data set was loaded without its test split, or the model was trained on another data set.
    """
    if dataset.test is None:
        raise DataError("evaluate: the test split is not loaded; expected it. Load the data with with_test=True.")
    manifest = dataset.manifest
    _require_same_data(model.metadata.get("dataset", manifest.dataset), manifest.dataset)
    labels = dataset.test.labels[dataset.test.rows].astype(np.int64)
    log_probabilities = log_softmax(model.predict_logits(dataset.test.images[dataset.test.rows]).astype(float), axis=1)
    predicted = log_probabilities.argmax(axis=1)
    learned_from = {"train": dataset.train, "validation": dataset.validation}
    metrics = {name: _measure(model, split) for name, split in learned_from.items() if len(split)}
    confusion = confusion_matrix(labels, predicted, labels=np.arange(manifest.n_classes))
    balanced, macro_f1 = class_means(confusion.sum(axis=1), confusion.sum(axis=0), confusion.diagonal())
    metrics["test"] = SplitMetrics(
        n_samples=len(labels),
        accuracy=float((predicted == labels).mean()),
        loss=-float(log_probabilities[np.arange(len(labels)), labels].mean()),
        balanced_accuracy=balanced,
        macro_f1=macro_f1,
    )
    return Evaluation(
        dataset=manifest.dataset,
        stands_in_for=manifest.stands_in_for,
        title=manifest.title,
        class_names=manifest.class_names,
        model={name: value for name, value in model.metadata.items() if name != "columns"}
        | {"weights_hash": model.weights_hash},
        splits=metrics,
        rows=dataset.test.rows,
        labels=labels,
        predicted_labels=predicted,
        probabilities=np.exp(log_probabilities),
        confusion=confusion,
        report_text=_report(labels, predicted, manifest.class_names),
        report=_report(labels, predicted, manifest.class_names, output_dict=True),
    )


def confused_pairs(confusion: LabelArray, class_names: tuple[str, ...]) -> tuple[ConfusedPair, ...]:
    """Return the pairs of classes with at least one confusion, the most confused first, then in class order.

    Parameters
    ----------
    confusion : ndarray of shape (n_classes, n_classes)
        Counts by true (row) and predicted (column) class.
    class_names : tuple of str
        One per class.
    """
    pairs = (
        ConfusedPair(class_names[i], class_names[j], int(confusion[i, j]), int(confusion[j, i]))
        for i in range(len(class_names))
        for j in range(i + 1, len(class_names))
    )
    return tuple(sorted((pair for pair in pairs if pair.count), key=lambda pair: -pair.count))


def _report(
    labels: LabelArray, predicted: LabelArray, class_names: tuple[str, ...], *, output_dict: bool = False
) -> Any:
    """Return scikit-learn's report with every class in it, absent classes included."""
    classes = np.arange(len(class_names))
    return classification_report(
        labels,
        predicted,
        labels=classes,
        target_names=class_names,
        digits=4,
        zero_division=0.0,
        output_dict=output_dict,
    )


def _measure(model: Model, split: Split) -> SplitMetrics:
    """Return a split's figures as training measures them; one BLAS thread keeps the last digit the same everywhere."""
    with blas_threads(1):
        measurer = Measurer(model.network(), split.images, model.scale, model.shift)
        return SplitMetrics(len(split), **asdict(measurer.measure(split.labels, split.rows)))


def _require_same_data(trained_on: str, given: str) -> None:
    if trained_on != given:
        raise DataError(
            f"evaluate: the model was trained on {trained_on} and the data are {given}; expected the same data set. "
            f"Evaluate it with data={trained_on}."
        )

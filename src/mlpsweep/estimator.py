"""scikit-learn's own way in: a classifier over ``run_training``; no other module subclasses what is scikit-learn's."""

import dataclasses
import numbers
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from mlpsweep.config import plain
from mlpsweep.data.arrays import BUDGET, array_dataset, array_settings
from mlpsweep.errors import DataError, SettingsError, quoted
from mlpsweep.schema import Family, nearest
from mlpsweep.settings import MAX_SEED, TrainSettings
from mlpsweep.training.run import run_training
from mlpsweep.types import FloatArray, LabelArray

OWN: Final = ("activation", "hidden_sizes", "learning_rate", "l2_lambda", "batch_size", "n_epochs", "dropout")
"""Parameters of the classifier that are settings of a training under the same name."""
FURTHER: Final = (
    "initializer",
    "init_std",
    "bias_init",
    "drop_last",
    "shuffle",
    "input_dropout",
    "schedule",
    "threads",
)
"""What its parameter ``settings`` may hold: other settings of a training that mean something for any rows."""
DTYPES: Final[Mapping[str, type[np.floating[Any]]]] = MappingProxyType({"float32": np.float32, "float64": np.float64})


class MLPClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A multilayer perceptron that scikit-learn's tools can clone, search, pipe and score.

    Training is :func:`mlpsweep.run_training`'s, to the bit: ``random_state=0`` is ``seed=0``. The columns are taken as
    they are, so put a ``StandardScaler`` before it. A parameter that does not fit raises
    :class:`~mlpsweep.errors.SettingsError`, a ``ValueError``, at ``fit``.

    Parameters
    ----------
    activation : str or sequence of str
        Of the hidden layers, one name or one per layer: elu, gelu, leaky_relu, relu, sigmoid, silu, tanh.
    hidden_sizes : sequence of int
        Hidden widths; ``()`` is softmax regression.
    learning_rate : float
        Step per update, > 0.
    l2_lambda : float
        L2 coefficient, >= 0: ``alpha`` of scikit-learn's own MLPClassifier.
    batch_size : int
        Rows per update; all rows where there are fewer.
    n_epochs : int
        Passes over the rows, >= 0.
    optimizer : str or mapping
        ``sgd``, ``momentum``, ``adam``, or a mapping with its keys: ``{"name": "momentum", "momentum": 0.8}``.
    dropout : float
        Share of hidden units dropped in training, 0 <= p < 1.
    class_weight : None, "balanced" or mapping
        Weights of classes in the gradient, by class; a class that the mapping leaves out has 1. Over the rows they are
        scaled to a mean of 1. ``balanced``: each class counts alike. Losses are reported without weights.
    random_state : int, RandomState or None
        Seed of all draws, 0 .. 2**32 - 1; None draws one from NumPy's global generator.
    dtype : str
        ``float64``, or ``float32`` for speed: then a row's figures agree to about 1e-6 only between a call with it
        alone and one with others.
    settings : mapping or None
        Further settings of a training by name, such as ``{"initializer": "he_normal", "schedule": "cosine"}``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    model_ : Model
        The network; its classes are places in ``classes_``.
    history_ : History
        A record per epoch.
    n_features_in_, feature_names_in_
        As scikit-learn's.

    Examples
    --------
    >>> x, y = np.array([[0.0], [0.1], [0.9], [1.0]]), ["low", "low", "high", "high"]
    >>> MLPClassifier(learning_rate=0.1, random_state=0).fit(x, y).predict([[0.0], [1.0]]).tolist()
    ['low', 'high']
    """

    def __init__(
        self,
        *,
        activation: str | Sequence[str] = "relu",
        hidden_sizes: Sequence[int] = (100,),
        learning_rate: float = 0.001,
        l2_lambda: float = 0.0,
        batch_size: int = 64,
        n_epochs: int = BUDGET,
        optimizer: str | Mapping[str, Any] = "adam",
        dropout: float = 0.0,
        class_weight: str | Mapping[Any, float] | None = None,
        random_state: int | np.random.RandomState | None = None,
        dtype: str = "float64",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.activation = activation
        self.hidden_sizes = hidden_sizes
        self.learning_rate = learning_rate
        self.l2_lambda = l2_lambda
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.optimizer = optimizer
        self.dropout = dropout
        self.class_weight = class_weight
        self.random_state = random_state
        self.dtype = dtype
        self.settings = settings

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Train a network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Finite numbers.
        y : array-like of shape (n_samples,)
            Labels of any kind that can be sorted, of at least two classes.

        Raises
        ------
        SettingsError
            If a parameter does not fit.
        DataError
            If there is one class only.
        DivergenceError
            If the loss becomes NaN or infinite.
        """
        x, labels, self.classes_ = checked(self, X, y)
        data = array_settings()
        dataset = array_dataset(x, labels, names_of(self.classes_), data)
        result = run_training(training_settings(self, self.classes_, len(x), data=data, monitor="none"), dataset)
        self.model_, self.history_ = result.model, result.history
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the most probable class of each row, of shape (n_samples,)."""
        places = self._logits(X).argmax(axis=1)
        labels: npt.NDArray[Any] = self.classes_[places]
        return labels

    def predict_proba(self, X: npt.ArrayLike) -> FloatArray:
        """Return the probability of each class, of shape (n_samples, n_classes), in the order of ``classes_``."""
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: npt.ArrayLike) -> FloatArray:
        """Return the logarithms of :meth:`predict_proba`."""
        logarithms: FloatArray = log_softmax(self._logits(X), axis=1)
        return logarithms

    def _logits(self, X: npt.ArrayLike) -> FloatArray:
        check_is_fitted(self)
        return self.model_.predict_logits(validate_data(self, X, dtype=DTYPES[self.dtype], reset=False))


def checked(
    estimator: MLPClassifier, X: npt.ArrayLike, y: npt.ArrayLike
) -> tuple[FloatArray, LabelArray, npt.NDArray[Any]]:
    """Return rows in the classifier's type, labels as places in the classes, and the classes; as ``fit`` otherwise."""
    if not isinstance(estimator.dtype, str) or estimator.dtype not in DTYPES:
        raise SettingsError(f"dtype: {quoted(estimator.dtype)} does not fit; expected one of {', '.join(DTYPES)}")
    x, y = validate_data(estimator, X, y, dtype=DTYPES[estimator.dtype], order="C")
    check_classification_targets(y)
    classes, labels = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise DataError(
            f"y: 1 class, {quoted(classes.tolist()[0])}, in {len(x)} rows; expected at least 2. Give rows of another"
        )
    return x, labels, classes


def names_of(classes: npt.NDArray[Any]) -> tuple[str, ...]:
    """Return the classes as a manifest and ``class_weight`` name them."""
    return tuple(str(label) for label in classes.tolist())


def training_settings(estimator: MLPClassifier, classes: npt.NDArray[Any], n_rows: int, **others: Any) -> TrainSettings:
    """Return what a classifier trains with on ``n_rows`` rows; ``others`` are settings that it has no word in.

    Raises
    ------
    SettingsError
        With one message for each parameter that does not fit.
    """
    further = _further(estimator.settings)
    values = {**{name: _plain(getattr(estimator, name)) for name in OWN}, **further}
    for name in ("optimizer", "schedule"):
        choice = _plain(estimator.optimizer) if name == "optimizer" else further.get(name, "constant")
        values[name] = {"name": choice} if isinstance(choice, str) else choice
    values["class_weight"] = _by_name(estimator.class_weight, classes)
    settings = TrainSettings.build({**values, "seed": _seed(estimator.random_state), **others})
    return dataclasses.replace(settings, batch_size=min(settings.batch_size, n_rows))


def with_settings(estimator: MLPClassifier, settings: TrainSettings) -> MLPClassifier:
    """Return a classifier, not fitted, that trains with ``settings``, as far as they are a classifier's."""
    fields = TrainSettings.__dataclass_fields__
    further = {name: getattr(settings, name) for name in FURTHER if getattr(settings, name) != fields[name].default}
    weights = settings.class_weight
    made: MLPClassifier = clone(estimator).set_params(
        **{name: getattr(settings, name) for name in OWN},
        optimizer=_chosen(settings.optimizer),
        settings={name: _chosen(value) for name, value in further.items()} or None,
        class_weight=estimator.class_weight if isinstance(weights, dict) else weights,
        random_state=settings.seed,
    )
    return made


def _further(told: Any) -> dict[str, Any]:
    further = _plain({} if told is None else told)
    unknown = [name for name in further if name not in FURTHER] if isinstance(further, dict) else [further]
    if unknown:
        wrong = ", ".join(quoted(one) + nearest(one, FURTHER) for one in unknown)
        raise SettingsError(f"settings: {wrong}; expected a mapping with keys of {', '.join(FURTHER)}, or None")
    return dict(further)


def _chosen(value: Any) -> Any:
    """Return a choice of a group as one gives it: by name, or as a mapping where its keys are not the defaults."""
    if not isinstance(value, Family):
        return value
    told = plain(value)
    return told["name"] if value == type(value)() else told


def _plain(value: Any) -> Any:
    """Return a value without NumPy's types, which grids of parameters are often made of."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _by_name(weights: Any, classes: npt.NDArray[Any]) -> Any:
    """Return ``class_weight`` under the classes' names.

    As in scikit-learn a fold of the rows may lack a class that is weighted, if every other class is weighted, too.
    """
    if not isinstance(weights, Mapping):
        return weights
    known = classes.tolist()
    if (unknown := [one for one in weights if one not in known]) and len(weights) - len(unknown) < len(known):
        raise SettingsError(
            f"class_weight: {', '.join(map(quoted, unknown))} is no class of y, and "
            f"{', '.join(quoted(one) for one in known if one not in weights)} has no weight; expected classes of y"
        )
    return {str(one): _plain(weights[one]) for one in known if one in weights}


def _seed(random_state: Any) -> Any:
    if isinstance(random_state, numbers.Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(MAX_SEED, dtype=np.int64))

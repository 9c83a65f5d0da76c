"""The settings of a training; ``datasets``, ``search.settings`` and ``tracking.settings`` hold the others.

A key has a type, a rule, a meaning, an example and a default, which ``conf/`` repeats for the command line. The help
page reads these classes without loading NumPy or omegaconf, and :mod:`mlpsweep.config` fills them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from mlpsweep import rules
from mlpsweep.datasets import MAX_EPOCHS as MAX_EPOCHS
from mlpsweep.datasets import MAX_ROWS as MAX_ROWS
from mlpsweep.datasets import DataSettings as DataSettings
from mlpsweep.rules import key
from mlpsweep.schema import Family, Settings

MAX_SEED = 2**32 - 1
# Beyond these a value is a slip: no training would end, no memory would do, or single precision would overflow.
MAX_WIDTH, MAX_TRIALS, MAX_UPDATES = 10**6, 10**6, 10**9
MAX_PIXELS, MAX_RATE, MAX_DECAY = 100, 1e30, 1e6
ACTIVATIONS = ("elu", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "tanh")
INITIALIZERS = ("fan_max_normal", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "normal")
MONITORS = ("validation", "test", "none")


def _kind(name: str, meaning: str) -> Any:
    """Declare the ``name`` of a member of a family."""
    return key(rules.one_of((name,)), meaning, name, default=name)


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(Family):
    """How a gradient becomes a step."""

    members: ClassVar[dict[str, type[Settings]]] = {}
    name: str = _kind("sgd", "optimiser")


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings(Family):
    """How the learning rate changes over the updates."""

    members: ClassVar[dict[str, type[Settings]]] = {}
    name: str = _kind("constant", "schedule")


@dataclass(frozen=True, kw_only=True)
class AugmentSettings(Family):
    """How training images are changed before each epoch."""

    members: ClassVar[dict[str, type[Settings]]] = {}
    name: str = _kind("none", "augmentation")


@dataclass(frozen=True, kw_only=True)
class DistortSettings(AugmentSettings):
    """Shifts, rotations, changes of size and elastic displacements, new for each image in each epoch."""

    name: str = _kind("distort", "augmentation")
    shift: float = key(rules.non_negative(MAX_PIXELS), "largest shift along each axis, pixels", "2", default=1.5)
    rotation: float = key(rules.non_negative(180), "largest rotation, degrees", "15", default=12.0)
    scaling: float = key(rules.FRACTION, "largest relative change of size", "0.15", default=0.15)
    elastic: float = key(
        rules.non_negative(MAX_PIXELS),
        "elastic displacement, root mean square along each axis, pixels",
        "1.5",
        default=1.2,
    )
    smoothness: float = key(
        rules.positive(MAX_PIXELS), "standard deviation of the Gaussian that smooths it, pixels", "4", default=4.0
    )


@dataclass(frozen=True, kw_only=True)
class MomentumSettings(OptimizerSettings):
    """Stochastic gradient descent with momentum."""

    name: str = _kind("momentum", "optimiser")
    momentum: float = key(rules.FRACTION, "share of the last step kept", "0.9", default=0.9)
    nesterov: bool = key(rules.BOOLEAN, "look ahead", "true", default=True)


@dataclass(frozen=True, kw_only=True)
class AdamSettings(OptimizerSettings):
    """Adam, with L2 in the gradient, and a decay beside it."""

    name: str = _kind("adam", "optimiser")
    beta_1: float = key(rules.FRACTION, "decay of the gradient's mean", "0.9", default=0.9)
    beta_2: float = key(rules.FRACTION, "decay of its squares' mean", "0.999", default=0.999)
    epsilon: float = key(rules.positive(1), "added to the root", "1e-8", default=1e-8)
    weight_decay: float = key(
        rules.non_negative(MAX_DECAY),
        "decoupled decay: share of each weight, times learning_rate, that a step takes off",
        "0.1",
        default=0.0,
    )


@dataclass(frozen=True, kw_only=True)
class CosineSettings(ScheduleSettings):
    """Linear warm-up, then half a cosine."""

    name: str = _kind("cosine", "schedule")
    warmup_fraction: float = key(rules.FRACTION, "share of updates with a rising rate", "0.1", default=0.0)
    final_fraction: float = key(rules.FRACTION, "rate at the end over learning_rate", "0", default=0.0)


@dataclass(frozen=True, kw_only=True)
class StepSettings(ScheduleSettings):
    """A factor every few epochs."""

    name: str = _kind("step", "schedule")
    every_epochs: int = key(rules.integer(1, MAX_EPOCHS), "epochs between drops", "5", default=5)
    factor: float = key(rules.positive(1000), "multiplies the rate at each drop", "0.1", default=0.1)


OptimizerSettings.members.update(sgd=OptimizerSettings, momentum=MomentumSettings, adam=AdamSettings)
AugmentSettings.members.update(none=AugmentSettings, distort=DistortSettings)
ScheduleSettings.members.update(constant=ScheduleSettings, cosine=CosineSettings, step=StepSettings)


@dataclass(frozen=True, kw_only=True)
class OriginSettings(Settings):
    """The trial whose settings a recipe holds; a search writes both keys, and a model carries them on."""

    study: str | None = key(
        rules.optional(rules.TEXT),
        "study that a winner comes from, written by a search",
        "digits-8fc69580",
        default=None,
        identity=False,
    )
    trial: int | None = key(
        rules.optional(rules.integer(0, MAX_TRIALS)),
        "trial of that study, written by a search",
        "7",
        default=None,
        identity=False,
    )


@dataclass(frozen=True, kw_only=True)
class TrainSettings(Settings):
    """The settings of one training."""

    activation: str | tuple[str, ...] = key(
        rules.one_or_list_of(rules.one_of(ACTIVATIONS)),
        "activation of the hidden layers, one name or one per layer",
        "relu",
        default="sigmoid",
    )
    hidden_sizes: tuple[int, ...] = key(
        rules.list_of(rules.integer(1, MAX_WIDTH), may_be_empty=True),
        "hidden widths, units",
        "[500,250,100]",
        default=(500, 250, 100),
    )
    initializer: str = key(
        rules.one_of(INITIALIZERS), "draw of the weights", "glorot_uniform", default="glorot_uniform"
    )
    init_std: float | None = key(
        rules.optional(rules.positive(1000)), "standard deviation of initializer=normal", "0.01", default=None
    )
    bias_init: str = key(
        rules.one_of(("zeros", "weights")), "biases: zeros, or drawn as the weights", "zeros", default="zeros"
    )
    learning_rate: float = key(rules.positive(MAX_RATE), "step per update", "0.01", default=0.01)
    l2_lambda: float = key(rules.non_negative(MAX_RATE), "L2 coefficient, docs/adr/0001", "0.8", default=0.0)
    class_weight: str | dict[str, float] | None = key(
        rules.optional(rules.either(rules.one_of(("balanced",)), rules.mapping_of(rules.non_negative(MAX_RATE)))),
        "weights of classes in the gradient, by name, 1 for others; balanced: each class counts alike",
        "balanced",
        default=None,
    )
    batch_size: int = key(rules.integer(1, MAX_ROWS), "rows per update", "64", default=64)
    drop_last: bool = key(rules.BOOLEAN, "leave out a short last batch", "false", default=False)
    shuffle: bool = key(rules.BOOLEAN, "new order each epoch; false: file order", "true", default=True)
    n_epochs: int | None = key(
        rules.optional(rules.integer(0, MAX_EPOCHS)), "epochs; null: the data set's own budget", "15", default=None
    )
    dropout: float = key(rules.FRACTION, "share of hidden units dropped", "0.2", default=0.0)
    input_dropout: float = key(rules.FRACTION, "share of pixels dropped in training", "0.2", default=0.0)
    averaging: float | None = key(
        rules.optional(rules.DECAY), "decay of averaged weights, measured before the end", "0.99", default=None
    )
    patience: int | None = key(
        rules.optional(rules.integer(1, MAX_EPOCHS)), "epochs without gain before stopping", "3", default=None
    )
    monitor: str = key(rules.one_of(MONITORS), "split measured after each epoch", "validation", default="validation")
    monitor_every: int | None = key(
        rules.optional(rules.integer(1, MAX_UPDATES)),
        "updates between measurements within an epoch; null: none",
        "200",
        default=None,
        identity=False,
    )
    log_every: int = key(
        rules.integer(1, MAX_UPDATES), "updates between batch records", "200", default=200, identity=False
    )
    report_cost: bool = key(
        rules.BOOLEAN,
        "record the one-vs-rest cost, to compare with sources that print it",
        "true",
        default=False,
        identity=False,
    )
    seed: int = key(rules.integer(0, MAX_SEED), "seed of all random draws", "0", default=0)
    threads: int = key(rules.integer(1, 1024), "BLAS threads per process", "1", default=1)
    data: DataSettings
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    augment: AugmentSettings = AugmentSettings()

    def conflicts(self) -> Iterable[str]:
        """Return a message for each conflict between fields, with its remedy."""
        n_layers = len(self.hidden_sizes)
        if isinstance(self.activation, tuple) and len(self.activation) != n_layers:
            yield (
                f"activation: {len(self.activation)} names for {n_layers} hidden layers; expected one name, or one per "
                f"layer of hidden_sizes={list(self.hidden_sizes)}. Example: activation=relu"
            )
        if (self.initializer == "normal") != (self.init_std is not None):
            yield (
                f"init_std: {self.init_std!r} with initializer={self.initializer}; expected a standard deviation with "
                "initializer=normal, and null with any other. Example: initializer=normal init_std=0.01"
            )
        if self.patience is not None and self.monitor != "validation":
            yield (
                f"patience: {self.patience} with monitor={self.monitor}; early stopping watches the validation split "
                "only, because the test split selects nothing. Set monitor=validation or patience=null"
            )
        if self.averaging is not None and (self.patience is not None or self.monitor == "none"):
            yield (
                f"averaging: {self.averaging:g} with monitor={self.monitor} patience={self.patience}; averaged weights "
                "are only measured, and tell no best epoch. Set averaging=null, or monitor=validation patience=null"
            )
        if self.monitor == "validation" and self.data.n_validation == 0:
            yield (
                "monitor: validation with data.n_validation=0 measures nothing; "
                "set monitor=none or keep validation rows. Example: data.n_validation=10000"
            )

    @property
    def activations(self) -> tuple[str, ...]:
        """One activation name per hidden layer."""
        return self.activation if isinstance(self.activation, tuple) else (self.activation,) * len(self.hidden_sizes)

    @property
    def total_epochs(self) -> int:
        """Epochs to train: ``n_epochs``, or the data set's own budget where that is null."""
        return self.data.n_epochs if self.n_epochs is None else self.n_epochs

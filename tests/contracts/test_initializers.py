"""What every initialiser must do; a new one is a row of INITIALIZERS and a row of VARIANCE."""

import math

import numpy as np
import pytest

from mlpsweep import settings
from mlpsweep.errors import SettingsError
from mlpsweep.nn.initializers import INITIALIZERS, draw_uniform
from mlpsweep.nn.network import Params, init_params

FAN_IN, FAN_OUT, STD = 300, 200, 0.05
# Variance of a weight of a layer with 300 inputs and 200 outputs, from the papers.
VARIANCE = {
    "fan_max_normal": 1 / 300,
    "glorot_normal": 2 / 500,
    "glorot_uniform": 2 / 500,
    "he_normal": 2 / 300,
    "he_uniform": 2 / 300,
    "normal": STD**2,
}

each_initializer = pytest.mark.parametrize("name", sorted(INITIALIZERS))


def draw(name: str, seed: int = 0, bias_init: str = "zeros", sizes: tuple[int, ...] = (FAN_IN, FAN_OUT)) -> Params:
    std = STD if name == "normal" else None
    return init_params(sizes, name, np.random.default_rng(seed), init_std=std, bias_init=bias_init)


def test_the_settings_know_the_same_names() -> None:
    assert sorted(INITIALIZERS) == sorted(settings.INITIALIZERS) == sorted(VARIANCE)


@each_initializer
def test_mean_and_variance_are_within_five_standard_errors(name: str) -> None:
    weight = draw(name).weights[0].astype(np.float64)
    variance, n = VARIANCE[name], weight.size
    kurtosis = 1.8 if INITIALIZERS[name].draw is draw_uniform else 3.0
    assert abs(weight.mean()) < 5 * math.sqrt(variance / n)
    assert abs(weight.var() - variance) < 5 * variance * math.sqrt((kurtosis - 1) / n)


@each_initializer
def test_the_distribution_has_the_kurtosis_of_its_kind(name: str) -> None:
    weight = draw(name).weights[0].astype(np.float64)
    expected, spread = (1.8, 0.1) if name.endswith("uniform") else (3.0, 0.25)  # 5 SE of the normal's: 5 sqrt(24 / n)
    assert abs(((weight / weight.std()) ** 4).mean() - expected) < spread


@each_initializer
def test_uniform_draws_stay_within_root_three_deviations(name: str) -> None:
    largest = np.abs(draw(name).weights[0]).max() / math.sqrt(3 * VARIANCE[name])
    assert (largest <= 1.0 + 1e-6) == name.endswith("uniform")


@each_initializer
def test_one_seed_gives_one_network(name: str) -> None:
    first, again, other = draw(name), draw(name), draw(name, seed=1)
    assert np.array_equal(first.flat, again.flat)
    assert not np.array_equal(first.flat, other.flat)


@each_initializer
def test_biases_are_zeros_or_drawn_as_the_weights(name: str) -> None:
    sizes = (50, 5000)
    assert not draw(name, sizes=sizes).biases[0].any()
    params = draw(name, bias_init="weights", sizes=sizes)
    spread = params.biases[0].std() / params.weights[0].std()
    assert spread == pytest.approx(1.0, abs=5 / math.sqrt(5000))


@pytest.mark.parametrize("sizes", [(0, 5), (5, 0)])
@each_initializer
def test_an_empty_layer_is_refused(name: str, sizes: tuple[int, int]) -> None:
    with pytest.raises(SettingsError, match=f"a layer of {sizes[0]} inputs and {sizes[1]} outputs; expected at least"):
        draw(name, sizes=sizes)


def test_normal_needs_a_standard_deviation() -> None:
    with pytest.raises(SettingsError, match="init_std: null with initializer=normal"):
        init_params((2, 2), "normal", np.random.default_rng(0))

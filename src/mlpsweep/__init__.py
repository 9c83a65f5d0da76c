"""Tracked hyperparameter sweeps of a NumPy multilayer perceptron; importing this does nothing."""

__version__ = "0.1.0"

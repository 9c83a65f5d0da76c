"""A trained network: its file, its hash and its predictions."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from mlpsweep.errors import DataFormatError, ShapeError
from mlpsweep.files import read_bytes, write_atomic
from mlpsweep.nn.activations import ACTIVATIONS
from mlpsweep.nn.losses import softmax
from mlpsweep.nn.network import Network, Params, n_parameters
from mlpsweep.training.arrays import pack_arrays, unpack_arrays
from mlpsweep.training.blas import blas_threads
from mlpsweep.training.measure import Measurer
from mlpsweep.types import FloatArray, ImageArray

FORMAT: Final = 1
FLOATS: Final = (np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True)
class Model:
    """A trained network with the scaling of its input.

    Parameters
    ----------
    params : Params
        float32, or float64 where the data were; not to be modified.
    activations : tuple of str
        One name for each hidden layer.
    scale, shift : float
        x = pixel * scale + shift.
    metadata : mapping
        Origin of the model, JSON values by name: ``dataset``, ``stands_in_for``, ``data_digest``, ``run_key``, ...
    """

    params: Params
    activations: tuple[str, ...]
    scale: float
    shift: float
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_features(self) -> int:
        """Pixels of an image."""
        return self.params.layer_sizes[0]

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.params.layer_sizes[-1]

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return int(self.params.flat.size)

    @property
    def weights_hash(self) -> str:
        """SHA-256 over the shapes and bytes of all weights and biases, 64 hexadecimal digits."""
        digest = hashlib.sha256()
        for array in (*self.params.weights, *self.params.biases):
            digest.update(f"{array.shape} {array.dtype.str}\n".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    @property
    def data_folder(self) -> str:
        """Name of the data's folder: the data set's, or that of the set for which the data stand in."""
        return str(self.metadata.get("stands_in_for") or self.metadata["dataset"])

    def with_metadata(self, **metadata: Any) -> "Model":
        """Return a copy of the model with more metadata; the parameters are shared."""
        return dataclasses.replace(self, metadata={**self.metadata, **metadata})

    def network(self) -> Network:
        """Return the network that computes the logits; the parameters are shared."""
        return Network(self.params, tuple(ACTIVATIONS[name] for name in self.activations))

    def predict_logits(self, images: ImageArray | FloatArray) -> FloatArray:
        """Return the raw scores of images.

        Parameters
        ----------
        images : ndarray of shape (n_samples, n_features), uint8 or float
            Pixels as stored, not scaled; not modified, and never copied as a whole.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), of the parameters' type.

        Raises
        ------
        ShapeError
            If ``images`` has another shape.

        Notes
        -----
        One BLAS thread, so that the last digit does not depend on the machine's number of processors.
        """
        if images.ndim != 2 or images.shape[1] != self.n_features:
            raise ShapeError(f"images: shape {images.shape}; expected (n_samples, {self.n_features}).")
        logits = np.empty((len(images), self.n_classes), self.params.flat.dtype)
        measurer = Measurer(self.network(), images, self.scale, self.shift)
        with blas_threads(1):
            for rows, piece in measurer.iter_logits(np.arange(len(images))):
                logits[rows] = piece
        return logits

    def predict_probabilities(self, images: ImageArray | FloatArray) -> FloatArray:
        """Return the probability of each class, of shape (n_samples, n_classes); see :meth:`predict_logits`."""
        return softmax(self.predict_logits(images))

    def predict_labels(self, images: ImageArray | FloatArray) -> npt.NDArray[np.intp]:
        """Return the most probable class of each image, of shape (n_samples,); see :meth:`predict_logits`."""
        labels: npt.NDArray[np.intp] = self.predict_logits(images).argmax(axis=1)
        return labels

    def save(self, path: Path) -> None:
        """Write the model as .npz, atomically; equal models give equal bytes.

        Raises
        ------
        OSError
            If the folder cannot be written.
        """
        about = {
            "format": FORMAT,
            "layer_sizes": self.params.layer_sizes,
            "activations": self.activations,
            "scale": self.scale,
            "shift": self.shift,
            "metadata": dict(self.metadata),
        }
        text = json.dumps(about, sort_keys=True, allow_nan=False)
        arrays: dict[str, npt.NDArray[Any]] = {"about": np.frombuffer(text.encode(), np.uint8)}
        for i, (weight, bias) in enumerate(zip(self.params.weights, self.params.biases, strict=True)):
            arrays[f"weight_{i}"], arrays[f"bias_{i}"] = weight, bias
        write_atomic(path, pack_arrays(arrays))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the model of a file.

        Raises
        ------
        DataError
            If the file does not exist.
        DataFormatError
            If the file is not what :meth:`save` writes: damaged, or with other arrays, dtypes or shapes.
        """
        content = read_bytes(path, "Train a model: python -m pipeline.train")
        try:
            return cls._from_arrays(unpack_arrays(content, "the file"))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise DataFormatError(
                f"{path}: not a model of format {FORMAT} ({error}); expected the file that training wrote. "
                "Train again, or restore the file."
            ) from error

    @classmethod
    def _from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Self:
        about = json.loads(arrays["about"].tobytes())
        sizes = tuple(about["layer_sizes"])
        if about["format"] != FORMAT or not all(isinstance(size, int) and size > 0 for size in sizes):
            raise ValueError(f"format {about['format']}, layer sizes {sizes}")
        if len(about["activations"]) != len(sizes) - 2 or not set(about["activations"]) <= ACTIVATIONS.keys():
            raise ValueError(f"activations {about['activations']}")
        names = ["about", *(f"{kind}_{i}" for i in range(len(sizes) - 1) for kind in ("weight", "bias"))]
        if list(arrays) != names or sum(a.size for a in list(arrays.values())[1:]) != n_parameters(sizes):
            raise ValueError(f"arrays {', '.join(arrays)} for layer sizes {sizes}")
        if (dtype := arrays["weight_0"].dtype) not in FLOATS:
            raise ValueError(f"weights of {dtype}")
        params = Params.zeros(sizes, dtype)
        for i, views in enumerate(zip(params.weights, params.biases, strict=True)):
            for view, stored in zip(views, (arrays[f"weight_{i}"], arrays[f"bias_{i}"]), strict=True):
                if stored.shape != view.shape or stored.dtype != view.dtype:
                    raise ValueError(f"layer {i} is {stored.dtype} of shape {stored.shape}, expected {view.shape}")
                view[...] = stored
        scale, shift = float(about["scale"]), float(about["shift"])
        if not np.isfinite([scale, shift, params.flat.sum(dtype=np.float64)]).all():
            raise ValueError(f"scale {scale}, shift {shift} and weights are not all finite")
        return cls(params, tuple(about["activations"]), scale, shift, dict(about["metadata"]))

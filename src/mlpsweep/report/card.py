"""The card of a model, in Markdown: what goes in and comes out, how good it is and on what, and where that ends."""

from mlpsweep.data.features import columns_text
from mlpsweep.data.manifest import Manifest
from mlpsweep.evaluation.metrics import Evaluation
from mlpsweep.tables import FORMATS
from mlpsweep.tracking.model import model_name
from mlpsweep.training.model import Model


def model_card(evaluation: Evaluation, manifest: Manifest, model: Model) -> str:
    """Return the card of an evaluated model.

    Parameters
    ----------
    evaluation : Evaluation
        Of ``model``.
    manifest : Manifest
        Of the data that it was evaluated on.
    model : Model
    """
    count, percent = FORMATS["count"], FORMATS["percent"]
    test, splits = evaluation.splits["test"], evaluation.splits
    learned = f"{count(splits['train'].n_samples)} training rows"
    chosen = f", {count(splits['validation'].n_samples)} validation rows" if "validation" in splits else ""
    origin = model.metadata.get("origin") or {}
    found = f", found by trial {origin['trial']} of the search {origin['study']}" if origin.get("study") else ""
    facts = {
        "Takes": _taken(manifest),
        "Gives": f"probabilities of shape (n, {model.n_classes}), one column for each class: "
        f"{', '.join(evaluation.class_names)}.",
        "Is right": f"on {percent(test.accuracy)} of {count(test.n_samples)} test rows (95 % interval "
        f"{FORMATS['range'](evaluation.accuracy_interval)}), which chose nothing. "
        f"Mean cross-entropy {test.loss:.4f}, calibration error {evaluation.calibration.expected_error:.4f}.",
        "Learned from": f"{evaluation.title}, {learned}{chosen}.",
        "Is": f"{model_name(model)}, a multilayer perceptron of {count(model.n_parameters)} weights and biases{found}.",
    }
    lines = [f"- **{name}** {text}" for name, text in facts.items()]
    return "\n".join(
        [
            f"**{evaluation.title}: {percent(test.accuracy)} of the test rows**",
            "",
            *lines,
            _limits(evaluation, manifest),
        ]
    )


def _taken(manifest: Manifest) -> str:
    height, width = manifest.image_shape
    if not manifest.holds_images:
        columns = columns_text(manifest.columns)
        return f"rows of a table as their file has them, with the columns {columns}; it standardises them itself."
    return (
        f"pixels of {height} x {width} images as stored, 0 to {manifest.max_value}, as an array of shape "
        f"(n, {manifest.n_features}); it scales them itself."
    )


def _limits(evaluation: Evaluation, manifest: Manifest) -> str:
    """Return what the model must not be trusted with."""
    alike = "images like those" if manifest.holds_images else "rows like those"
    known = f"{alike} of {evaluation.title}{', of the same size, place and contrast' * manifest.holds_images}."
    most = [f"{pair.first} and {pair.second} ({pair.count} times)" for pair in evaluation.confused_pairs[:3]]
    confused = f" It confuses {', '.join(most)} most." if most else ""
    return (
        f"- **Knows** only {known} Of anything else it gives one of its classes, too, and may be sure of it.{confused}"
    )

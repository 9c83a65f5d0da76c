"""One training, from settings to a model and its folder; ``tracking`` and ``search`` are built on it."""

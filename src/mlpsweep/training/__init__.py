"""One training from settings to a model; no tracker, no study, no figures."""

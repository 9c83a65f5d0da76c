"""Data: from a mirror to shuffled, scaled batches; no network layers, no tracking."""

"""Data: everything from a mirror to shuffled, scaled batches."""

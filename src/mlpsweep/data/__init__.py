"""The data sets: download, preparation, splits, and batches of scaled pixels."""

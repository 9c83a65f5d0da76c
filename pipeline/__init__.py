"""The doors: one module per stage of the pipeline, each a thin path from settings to the library to outputs."""

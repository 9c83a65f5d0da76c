"""Pages that a person reads: the report of a pipeline run, runs side by side; the only home of jinja2."""

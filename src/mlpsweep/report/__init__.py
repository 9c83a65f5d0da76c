"""HTML pages: the report of a pipeline run, the comparison of runs; the only home of jinja2."""

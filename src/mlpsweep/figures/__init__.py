"""The figures, in one house style; the only home of matplotlib."""

"""Damage that nobody thought of: valid files and command lines, changed at random; the exit code is never 1."""

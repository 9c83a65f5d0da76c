"""Runs, their parents and children, and the models they hold; the only home of mlflow."""

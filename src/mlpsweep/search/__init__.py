"""The search: spaces, studies, workers and the winner; the only home of optuna."""

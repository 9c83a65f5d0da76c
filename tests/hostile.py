"""The largest of reports, under names that are HTML and would run a script; for tests with and without a browser."""

import dataclasses
import random

from mlpsweep.report.results import ModelResult, ReportData
from mlpsweep.search.rows import Search, Stint, TrialRow
from mlpsweep.training.folder import RunRecord

HOSTILE = "<img src=x onerror=alert(1)>"


def hostile(data: ReportData, n_trials: int) -> ReportData:
    """Return a report on the same results under hostile names, with a search of ``n_trials``."""
    return dataclasses.replace(
        data,
        models=tuple(map(renamed, data.models)),
        search=many_trials(n_trials),
        title=HOSTILE,
        lineage=((HOSTILE, HOSTILE),),
        commands=((HOSTILE, HOSTILE),),
    )


def renamed(model: ModelResult) -> ModelResult:
    """Return a model whose name, run and first label are hostile."""
    names = (HOSTILE, *model.class_names[1:])
    return dataclasses.replace(model, name=HOSTILE, class_names=names, run=RunRecord("f" * 32, HOSTILE))


def many_trials(n: int) -> Search:
    """Return a search of ``n`` trials, a third of them pruned."""
    draw = random.Random(0)  # noqa: S311
    trials = []
    for number in range(n):
        params = {HOSTILE: draw.choice([HOSTILE, "relu"]), "learning_rate": 10 ** draw.uniform(-3, -1)}
        params |= {f"hidden_sizes.{k}": draw.randint(32, 512) for k in range(1, 4)} | {"l2_lambda": draw.random()}
        value = draw.uniform(0.9, 0.98)
        state = draw.choice(["complete", "complete", "pruned"])
        reported = tuple((epoch, value - 0.1 / epoch) for epoch in range(1, 9 if state == "complete" else 3))
        trials.append(TrialRow(number, state, value if state == "complete" else None, params, reported,
                               (Stint(HOSTILE, 10.0 * number, 10.0 * number + 9),)))  # fmt: skip
    return Search(HOSTILE, "validation/accuracy", tuple(trials), {HOSTILE: 0.5, "learning_rate": 0.5})

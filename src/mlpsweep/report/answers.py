"""The report in five sentences: which model, how much better, luck or not, how it was found, how to rebuild it."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from mlpsweep.evaluation.statistics import mcnemar, paired_bootstrap
from mlpsweep.metric import metric_named
from mlpsweep.report.page import Answer
from mlpsweep.report.results import N_DIGITS, ModelResult, ReportData
from mlpsweep.search.rows import PAUSED, PRUNED, Search
from mlpsweep.tables import FORMATS, Column, counted, duration, plain

count, percent, interval_text = FORMATS["count"], FORMATS["percent"], FORMATS["range"]


def answers(data: ReportData) -> tuple[Answer, ...]:
    """Return what a reader wants to know first; figures of accuracy are those of ``metrics.json``."""
    return (
        Answer("which", "Which model?", _which(data)),
        Answer("how-much", "How much better is it?", _how_much(data)),
        Answer("luck", "Is that luck?", " ".join(_luck(data))),
        Answer("how-found", "How was it found?", _how_found(data)),
        _rebuild(data),
    )


def compare(first: ModelResult, second: ModelResult) -> dict[str, object]:
    """Return how two models differ on the same test images; the seed is fixed, so that equal results are told alike."""
    right, other_right = first.predictions.correct, second.predictions.correct
    test = mcnemar(right, other_right)
    difference = paired_bootstrap(right, other_right, np.random.default_rng(0))
    return {
        "difference": difference.mean,
        "interval": (difference.low, difference.high),
        "only_shown": test.only_first,
        "only_other": test.only_second,
        "p": test.p_mid,
    }


def architecture(model: ModelResult) -> str:
    """Return activation, widths and size of a network in words."""
    widths, activation = model.settings["hidden_sizes"], model.settings["activation"]
    layers = " and ".join(filter(None, (", ".join(map(str, widths[:-1])), str(widths[-1])))) if widths else ""
    hidden = f"{counted(len(widths), 'hidden layer')} of {layers} units" if widths else "no hidden layer"
    name = activation if isinstance(activation, str) else plain(activation)
    return f"{name}, {hidden}, {count(model.n_parameters)} parameters"


def trained_on(model: ModelResult) -> str:
    """Return on what a model was trained."""
    n_train = count(model.metrics["train"]["n_samples"])
    if "validation" in model.metrics:
        return (
            f"{n_train} training {model.samples}; {count(model.metrics['validation']['n_samples'])} more for validation"
        )
    return f"{n_train} {model.samples}, those for validation among them, so that no validation accuracy can be measured"


def _which(data: ReportData) -> str:
    shown, search = data.shown, data.search
    won = next((one for one in search.finalists if one.is_winner), None) if search else None
    who = "The winner of the search"
    if not data.winner:
        who = f"The most accurate of {counted(len(data.models), 'model')}, {shown.name}"
    elif search and won:
        who = f"The winner, trial {won.number} of {len(search.trials)}"
    rates = ", ".join(
        f"{name} {Column(name, name, 'number').text(shown.settings[name])}" for name in ("learning_rate", "l2_lambda")
    )
    return f"{who}: {architecture(shown)}; {rates}."


def _how_much(data: ReportData) -> str:
    shown, others = data.shown, data.others
    n = count(len(shown.predictions.labels))
    text = f"It classifies {percent(shown.accuracy)} of {n} test {shown.samples} correctly"
    if not others:
        return f"{text}; there is no other model to compare it with."
    gain = FORMATS["points"](shown.accuracy - others[0].accuracy)
    best = "the best baseline" if data.winner else "the next best model"
    return f"{text}; {best}, {others[0].name}, reaches {percent(others[0].accuracy)}: a difference of {gain} points."


def _luck(data: ReportData) -> Iterator[str]:
    (low, high), what = data.shown.interval, data.shown.samples
    n = count(len(data.shown.predictions.labels))
    yield f"Counted on {n} {what} only, the accuracy is known to within {interval_text((low, high))} (95 % interval)"
    if not data.others:
        yield "."
        return
    best = data.others[0]
    found = compare(data.shown, best)
    low, high = found["interval"]  # type: ignore[misc]
    verdict = f"luck with the {what} {'may' if low <= 0 <= high else 'does not'} explain it"
    yield f"and the difference from {best.name} to within {FORMATS['points range']((low, high))} points:"
    yield f"{verdict} (p {_p(found['p'])}, McNemar's test)."
    spreads = [one for one in (data.search.finalists if data.search else ()) if one.is_winner and one.spread]
    for one in spreads:
        kind = metric_named(data.search.metric).kind if data.search else "number"
        yield (
            f"Another seed gives another model: over {counted(len(one.values), 'seed')} its {_metric(data.search)} "
            f"was {FORMATS[kind](one.mean)} with a standard deviation of {FORMATS[kind](one.spread)}."
        )


def _p(value: object) -> str:
    text = FORMATS["probability"](value)
    return text if text.startswith("<") else f"= {text}"


def _metric(search: Search | None) -> str:
    return search.metric.replace("/", " ") if search else ""


EARLY: Final = {PRUNED: "stopped early as hopeless", PAUSED: "paused early, because others were ahead"}


def _how_found(data: ReportData) -> str:
    shown, search = data.shown, data.search
    end = f"It learned from {trained_on(shown)}. No choice was made on the test {shown.samples}."
    if search is None or not data.winner:
        return f"It is a baseline, with settings that were given. {end}"
    counts = search.counts()
    told = [f"{n} {EARLY.get(state, state)}" for state, n in counts.items()]
    text = f"A search tried {counted(len(search.trials), 'configuration')} ({', '.join(told)})"
    if search.finalists:
        n_seeds = max(len(one.values) for one in search.finalists)
        best = "the best" if len(search.finalists) == 1 else f"the best {len(search.finalists)}"
        text += (
            f" and trained {best} again on {counted(n_seeds, 'seed')}; of those that tied for first, the smallest won"
        )
    return f"{text}. {end}"


def _rebuild(data: ReportData) -> Answer:
    shown, commands = data.shown, dict(data.commands)
    took = f" in about {duration(shown.run.seconds)}" if shown.run and shown.run.seconds is not None else ""
    at = f" at commit {shown.commit}" if shown.commit else ""
    weights = str(shown.metrics["model"].get("weights_hash", ""))[:N_DIGITS]
    same = f" to the same weights, bit by bit (SHA-256 {weights})" if weights else " to the same weights, bit by bit"
    command = commands.get("the winner") if data.winner else commands.get("everything")
    text = f"With the same versions on the same kind of machine{at}, one command trains it again{took}{same}"
    return Answer("rebuild", "How is it rebuilt?", f"{text}{':' if command else '.'}", command or "")

"""Searches in a world of recorded curves: proposals and rules of the product, workers and seconds by the event.

Hundreds of searches take minutes, so rules are chosen here (ADR 16) and shown by benchmarks.search. Read it as
a guide: luck is a model, the best of many rules flatters itself, and seconds leave out imports.

    python -m benchmarks.table [--seeds N] [--seed N] [--only TEXT] [--budgets] [--ranks] [--record N]
"""

import argparse
import functools
import heapq
import itertools
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from multiprocessing.pool import Pool
from typing import Final

import numpy as np

from benchmarks.surrogate import N_EPOCHS, Trained, default_space, epoch_seconds, fitted, print_ranks, record
from mlpsweep.search.proposals import Past, Slot, build_proposer, derive_seed
from mlpsweep.search.pruners import Curve, asha, never
from mlpsweep.search.rungs import FIRST_LOOK, first_look, promotable, rungs
from mlpsweep.search.space import Params
from mlpsweep.training.blas import blas_threads

TARGET: Final = 0.98
STINT_S, MEASURE_S = 0.05, 0.03
"""What it costs beside epochs to take up a trial and to leave it, and to measure within an epoch."""
N_WORKERS, LIMIT_S, LOOKS_S = 2, 60.0, (20.0, 60.0)
BUDGETS: Final = (1, 2, 3, 8, 20, 30, 40, 50, 60)
METRIC: Final = "validation/accuracy"
EIGHTHS: Final = tuple(Fraction(eighths, 8) for eighths in range(9))


@dataclass(frozen=True)
class Rule:
    """How a search proposes and prunes.

    Parameters
    ----------
    sampler : str
        Key of the product's ``SAMPLERS``.
    pruner : str
        ``none``, ``asha`` or ``promote``.
    eighths : tuple of int
        The rungs, in eighths of the budget.
    eta : int
        One trial in ``eta`` goes on.
    is_averaged : bool
        Whether an epoch before the last reports the averaged weights.
    has_look : bool
        Whether a trial pauses within its first epoch, too.
    """

    sampler: str
    pruner: str
    eighths: tuple[int, ...] = ()
    eta: int = 3
    is_averaged: bool = False
    has_look: bool = False

    @property
    def rungs(self) -> tuple[int, ...]:
        return (FIRST_LOOK,) * self.has_look + rungs(N_EPOCHS, self.shares)

    @property
    def shares(self) -> tuple[Fraction, ...]:
        return tuple(EIGHTHS[eighths] for eighths in self.eighths)

    def __str__(self) -> str:
        at = [*["1/4"] * self.has_look, *(f"{N_EPOCHS * share}" for share in self.shares)]
        after = f" {'+'.join(at)} eta {self.eta}" if at else ""
        return f"{self.sampler} {self.pruner}{after} {'averaged' if self.is_averaged else 'raw'}"


@dataclass
class Trial:
    """A configuration in the simulated world, and how far it has come."""

    slot: int
    params: Params
    trained: Trained
    epoch_s: float
    reported: dict[int, float] = field(default_factory=dict)
    is_under_way: bool = True

    @property
    def epoch(self) -> int:
        return max(self.reported, default=0)


@dataclass
class Search:
    """One simulated search."""

    rule: Rule
    seed: int
    n_trials: int = sys.maxsize
    n_workers: int = N_WORKERS
    top_k: int = 3
    trials: list[Trial] = field(default_factory=list)
    gone_on: dict[int, set[int]] = field(default_factory=dict)
    reports: list[tuple[float, int, int, float]] = field(default_factory=list)  # when, slot, epoch, value
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.space = default_space(self.seed)
        self.propose = build_proposer(self.rule.sampler, self.space, METRIC).propose
        self.rungs = self.rule.rungs
        prunes = functools.partial(asha, shares=self.rule.shares, eta=self.rule.eta)
        self.is_stopped = prunes if self.rule.pruner == "asha" else never

    def run(self, limit_s: float) -> "Search":
        """Search until ``limit_s``, or until nothing is left to do."""
        idle, events = self.n_workers, list[tuple[float, int]]()
        while True:
            while idle and (job := self._next()) is not None:
                heapq.heappush(events, (self.seconds + STINT_S + self._until_report(job), job.slot))
                idle -= 1
            if not events or events[0][0] > limit_s:
                return self
            self.seconds, slot = heapq.heappop(events)
            trial = self.trials[slot]
            trial.is_under_way = self._report(trial)
            if trial.is_under_way:
                heapq.heappush(events, (self.seconds + trial.epoch_s, slot))
            else:
                idle += 1

    def _until_report(self, trial: Trial) -> float:
        is_look = self.rule.has_look and not trial.reported
        return first_look(N_EPOCHS) * trial.epoch_s + MEASURE_S if is_look else trial.epoch_s

    def _report(self, trial: Trial) -> bool:
        """Take a trial's next value; return whether it goes on at once."""
        curve = trial.trained.averaged if self.rule.is_averaged else trial.trained.raw
        epoch = FIRST_LOOK if self.rule.has_look and not trial.reported else trial.epoch + 1
        trial.reported[epoch] = float(trial.trained.look if epoch == FIRST_LOOK else curve[epoch - 1])
        self.reports.append((self.seconds, trial.slot, epoch, trial.reported[epoch]))
        if epoch == N_EPOCHS:
            return False
        if self.rule.pruner == "promote":
            return epoch not in self.rungs or trial.slot in self.gone_on.get(epoch, ())
        return not self.is_stopped(Curve(trial.slot, N_EPOCHS, trial.reported, self._values_at))

    def _values_at(self, epoch: int) -> dict[int, float]:
        return {trial.slot: trial.reported[epoch] for trial in self.trials if epoch in trial.reported}

    def _next(self) -> Trial | None:
        """Return the trial that a free worker takes up, paused ones first."""
        if self.rule.pruner == "promote":
            for rung in reversed(self.rungs):
                gone_on = self.gone_on.setdefault(rung, set())
                if (slot := promotable(self._values_at(rung), gone_on, self.rule.eta)) is not None:
                    gone_on.add(slot)
                    return self._resumed(slot)
        if len(self.trials) < self.n_trials:
            self.trials.append(self._started())
            return self.trials[-1]
        return self._thawed() if self.rule.pruner == "promote" else None

    def _resumed(self, slot: int) -> Trial:
        self.trials[slot].is_under_way = True
        return self.trials[slot]

    def _thawed(self) -> Trial | None:
        """With all started and too few complete, the best of those that came farthest goes on to its end."""
        if sum(trial.epoch == N_EPOCHS or trial.is_under_way for trial in self.trials) >= self.top_k:
            return None
        paused = [trial for trial in self.trials if not trial.is_under_way and trial.epoch < N_EPOCHS]
        if not paused:
            return None
        best = max(paused, key=lambda trial: (trial.epoch, trial.reported[trial.epoch], -trial.slot))
        for rung in self.rungs:
            self.gone_on.setdefault(rung, set()).add(best.slot)
        return self._resumed(best.slot)

    def _started(self) -> Trial:
        number = len(self.trials)
        past = [Past(one.slot, one.params, dict(one.reported), one.epoch == N_EPOCHS) for one in self.trials]
        params = self.propose(Slot(number, tuple(past)))
        overrides = self.space.overrides(params)
        # Luck is the slot's: were it the parameters', their last bits, which differ between machines, would choose it.
        trained = fitted().train(overrides, derive_seed(self.seed, number))
        return Trial(number, params, trained, epoch_seconds(overrides["hidden_sizes"]))

    @property
    def reached_s(self) -> float:
        """Seconds until an epoch's value was at the target; infinite if none was."""
        return min((at for at, _, _, value in self.reports if value >= TARGET), default=float("inf"))

    def best_at(self, seconds: float) -> float:
        """Return the best of the trials that were complete by then: what the search would hand over."""
        done = (value for at, _, epoch, value in self.reports if epoch == N_EPOCHS and at <= seconds)
        return max(done, default=float("nan"))


def rules() -> Iterator[Rule]:
    """Yield the rules of the table."""
    yield Rule("random", "none")
    for is_averaged in (False, True):
        yield Rule("tpe", "none", is_averaged=is_averaged)
        for pruner in ("asha", "promote"):
            for eighths in ((1, 5), (1,), (1, 3), (2, 5)):
                for eta in (2, 3, 4):
                    yield Rule("tpe", pruner, eighths, eta, is_averaged)
    yield Rule("tpe", "promote", (1,), 6, is_averaged=True)
    for later in ((), (1,), (3,), (1, 3)):
        for eta in (2, 3, 4, 6):
            yield Rule("tpe", "promote", later, eta, is_averaged=True, has_look=True)


def figures(rule: Rule, seed: int) -> tuple[float, ...]:
    """Return of one search the seconds until the target, the best at each look, and how many were started."""
    search = Search(rule, seed).run(LIMIT_S)
    return (search.reached_s, *map(search.best_at, LOOKS_S), len(search.trials))


def row(rule: Rule, found: Sequence[tuple[float, ...]]) -> str:
    """Return one line of the table."""
    reached, *best, started = np.array(found).T
    quantiles = np.quantile(reached, (0.25, 0.5, 0.75, 0.9), method="higher")
    cells = [f"{value:.0f}" if np.isfinite(value) else "never" for value in quantiles]
    cells += [f"{np.mean(np.isinf(reached)):.2f}", *(f"{100 * np.nanmean(looked):.2f}" for looked in best)]
    return f"| {rule} | {' | '.join(cells)} | {started.mean():.0f} |"


def at_rest(rule: Rule, n_trials: int, n_workers: int, seed: int) -> tuple[float, ...]:
    """Return of a search without a limit its seconds, how many went on, how many are complete, the best, all epochs."""
    search = Search(rule, seed, n_trials, n_workers).run(float("inf"))
    n_complete = sum(trial.epoch == N_EPOCHS for trial in search.trials)
    n_gone_on = len(set().union(*search.gone_on.values()))
    n_epochs = sum(epoch != FIRST_LOOK for _, _, epoch, _ in search.reports)
    return search.seconds, n_gone_on, n_complete, search.best_at(search.seconds), n_epochs


def print_budgets(pool: Pool, rule: Rule, seeds: Sequence[int]) -> None:
    """Print what searches come to that are left alone until they are at rest."""
    print(f"{rule}\n| workers | started | went on | complete | epochs | seconds | q90 | best |\n" + "|---" * 8 + "|")
    for n_workers, n_trials in itertools.product((1, 2), BUDGETS):
        found = pool.starmap(at_rest, [(rule, n_trials, n_workers, seed) for seed in seeds])
        seconds, gone_on, complete, best, epochs = np.array(found).T
        means = f"{gone_on.mean():.1f} | {complete.mean():.1f} | {epochs.mean():.0f} | {seconds.mean():.0f}"
        late = np.quantile(seconds, 0.9)
        print(f"| {n_workers} | {n_trials} | {means} | {late:.0f} | {100 * best.mean():.2f} |", flush=True)


def print_rules(args: argparse.Namespace) -> None:
    """Simulate the searches and print their table."""
    seeds = range(args.seed, args.seed + args.seeds)
    print(f"{args.seeds} searches each, seeds from {args.seed}, {N_WORKERS} workers, {LIMIT_S:g} s")
    looks = " | ".join(f"best at {seconds:g} s" for seconds in LOOKS_S)
    print(f"| rule | q25 | median | q75 | q90 | never | {looks} | started |")
    print("|---" * 9 + "|")
    fitted()
    with blas_threads(1), multiprocessing.get_context("fork").Pool(N_WORKERS) as pool:
        for rule in rules():
            if args.only in str(rule) and args.budgets:
                print_budgets(pool, rule, seeds)
            elif args.only in str(rule):
                found = pool.starmap(figures, [(rule, seed) for seed in seeds])
                print(row(rule, found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="searches of each rule")
    parser.add_argument("--seed", type=int, default=0, help="of the first search")
    parser.add_argument("--only", default="", help="rules whose name holds this text")
    parser.add_argument("--budgets", action="store_true", help="for each n_trials, what a search at rest comes to")
    parser.add_argument("--ranks", action="store_true", help="how early values rank configurations, and no search")
    parser.add_argument("--record", type=int, default=0, metavar="N", help="train N further configurations first")
    args = parser.parse_args()
    if args.record:
        record(args.record)
    if args.ranks:
        print_ranks()
    else:
        print_rules(args)


if __name__ == "__main__":
    main()

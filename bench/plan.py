"""How much is measured, and how two series of runs become one number beside a bar."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report import Verdict
from bench.world import MAIN, SPREAD, Server, Shop, World
from bench.wrk import BenchError, Run, Spread, drive, spread

__all__ = ["Bench", "Options", "best", "ratio", "verdict_of", "warm"]


_WARMING_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Options:
    """What this run of the bench may take.

    Args:
        seconds: of each measured run.
        rounds: how often each side of a comparison runs.
        fill: transfers of the old database; 0: the comparison by age is left out.
        operations: through one web process, to see its memory.
        players: of the main site, and of the eight others together.
        is_quick: a smoke run.
    """

    seconds: float = 8
    rounds: int = 3
    fill: int = 5_000_000
    operations: int = 1_000_000
    players: int = 4000
    is_quick: bool = False

    @property
    def briefly(self) -> float:
        """Seconds of a run that only looks for the best setting."""
        return max(1, self.seconds / 2)


@dataclass(frozen=True, slots=True)
class Bench:
    """What every figure gets."""

    world: World
    options: Options


def warm(shop: Shop, server: Server) -> None:
    """Let a new process open its connections and see every site before it is measured.

    Raises:
        BenchError: it does not answer as it should.
    """
    for script, sites in (("deposit", SPREAD), ("rounds", MAIN)):
        run = drive("warming up", shop.load(script, server, 64, _WARMING_SECONDS, sites=sites))
        if run.errors:
            raise BenchError(f"warming up: {run.first_error}")


def ratio(over: Sequence[Run], under: Sequence[Run]) -> Spread:
    """The rates of two interleaved series, round by round."""
    return spread(
        [one.rate / other.rate if other.rate else 0 for one, other in zip(over, under, strict=True)]
    )


def verdict_of(what: str, found: Spread, bar: float, against: str, *, times: bool = False) -> Verdict:
    """A ratio beside the least that it must be.

    Args:
        what: the figure.
        found: as `ratio` returns it.
        bar: the least; the median counts.
        against: what the other series ran against.
        times: written as a multiple, otherwise in per cent.
    """

    def told(value: float) -> str:
        return f"{value:.1f} times" if times else f"{value:.0%}"

    measured = f"{told(found.median)} ({told(found.least)} to {told(found.most)})"
    return Verdict(what, measured, f">= {told(bar)}", found.median >= bar, against)


def best(runs: Sequence[Run]) -> Run:
    """The run with the highest rate."""
    return max(runs, key=lambda run: run.rate)

"""The product over time: at half of what it can, after a million operations, after millions of transfers."""

import asyncio
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import asyncpg

from app.plumbing.database import asyncpg_dsn
from bench.plan import Bench, best, ratio, verdict_of, warm
from bench.report import Figure, Verdict
from bench.world import Server, Shop
from bench.wrk import BenchError, Run, drive, interleaved, spread

__all__ = ["age", "knee", "memory"]

_P99_BAR_MS = 15.0
_MEMORY_BAR_MB = 200.0
_FLAT_BAR = 1.05  # of the last quarter over the second: what grows for ever, grows more in half a million
_AGE_BAR = 0.85
_YOUNG = 50_000
_STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_NEAR_THE_TOP = 0.95
_PACED_CONNECTIONS = 64
_FILLING = 2  # batches at once
_SEGMENT_SECONDS = 10.0
_SLOWEST_FILL = 2_000  # transfers a second; slower, and filling is given up
_TRANSFERS = "SELECT count(*) FROM transfer"
_SAMPLE_SECONDS = 0.25


def knee(bench: Bench) -> Figure:
    """How long calls take when half as many come as could."""
    figure = Figure("knee", "Latency at half of the knee")
    options = bench.options
    shop = bench.world.shop("speed")
    with bench.world.serving(shop) as server:
        warm(shop, server)
        steps = [
            drive(f"looking for the knee ({count})", shop.load("rounds", server, count, options.briefly))
            for count in _STEPS
        ]
        top = best(steps).rate
        its = next(run for run in steps if run.rate >= _NEAR_THE_TOP * top)
        paced = [
            drive(
                "half of the knee",
                shop.load("rounds", server, _PACED_CONNECTIONS, options.seconds, rate=its.rate / 2),
            )
            for _ in range(options.rounds)
        ]
    figure.runs = [*steps, *paced]
    p99 = spread([run.p99_ms for run in paced])
    achieved = spread([run.rate for run in paced]).median
    figure.verdicts.append(
        Verdict(
            "p99 at half of the knee, one process",
            f"{p99.median:.1f} ms ({p99.least:.1f} to {p99.most:.1f})",
            f"<= {_P99_BAR_MS:.0f} ms",
            p99.median <= _P99_BAR_MS and achieved >= _NEAR_THE_TOP * its.rate / 2,
            f"{its.rate / 2:,.0f}/s offered, {achieved:,.0f}/s achieved; bet and win by turns",
        )
    )
    figure.notes.append(
        f"The knee is the fewest connections ({its.connections}) that reach {_NEAR_THE_TOP:.0%} of the"
        f" highest rate ({top:,.0f}/s). At half of its rate requests are sent by the clock, evenly spaced,"
        f" over {_PACED_CONNECTIONS} connections; one that finds no free connection leaves late,"
        " which its latency does not contain: 99 % of all requests left at most"
        f" {max(run.late_p99_ms for run in paced):.0f} ms late (whole milliseconds, as wrk's timers)."
    )
    return figure


def memory(bench: Bench) -> Figure:
    """The memory of the web process while a million operations go through it."""
    figure = Figure("memory", "Memory of the web process")
    target = bench.options.operations
    shop = bench.world.shop("speed")
    quarters: list[list[float]] = [[], [], [], []]
    with bench.world.serving(shop) as server:
        warm(shop, server)
        before = server.memory_mb()
        done = 0
        with _sampled(server) as samples:
            while done < target:
                for script, connections, seconds in (("rounds", 128, 5.0), ("batch", 2, 2.0)):
                    brief = min(seconds, bench.options.seconds)
                    run = drive(f"{script} ({connections})", shop.load(script, server, connections, brief))
                    figure.runs.append(run)
                    done += run.answered
                    if not run.answered:
                        raise BenchError(f"no operation was answered: {run.first_error}")
                    # Samples of a segment belong to the quarter in which it ended.
                    quarters[min(3, 4 * done // target)] += samples
                    samples.clear()
        after = server.memory_mb()
    measured = [statistics.median(quarter) for quarter in quarters if quarter]
    most = max(max(quarter) for quarter in quarters if quarter)
    figure.verdicts += [
        Verdict(
            f"memory of the web process, {done:,} operations",
            f"{most:.0f} MB at most",
            f"<= {_MEMORY_BAR_MB:.0f} MB",
            most <= _MEMORY_BAR_MB,
            f"resident; {before:.0f} MB when warm, {after:.0f} MB after; single calls and batches by turns",
        ),
        Verdict(
            "its growth",
            f"{measured[-1] / measured[min(1, len(measured) - 1)]:.0%}",
            f"<= {_FLAT_BAR:.0%}",
            measured[-1] <= _FLAT_BAR * measured[min(1, len(measured) - 1)],
            "the last quarter of the operations against the second, medians",
        ),
    ]
    by_quarter = ", ".join(f"{value:.0f}" for value in measured)
    figure.notes.append(f"Median MB by quarter of the operations: {by_quarter}.")
    return figure


def age(bench: Bench) -> Figure:
    """A database with millions of transfers beside a young one, both on the same server."""
    figure = Figure("age", f"After {bench.options.fill:,} transfers, against after {_YOUNG:,}")
    options = bench.options
    if not options.fill:
        figure.title = "Age of the database"
        figure.verdicts.append(Verdict("an old database", "not measured", "-", None, "left out by --quick"))
        return figure
    young, old = bench.world.shop("young"), bench.world.shop("old")
    with bench.world.serving(young) as young_server, bench.world.serving(old) as old_server:
        warm(young, young_server)
        warm(old, old_server)
        filled = [
            *_fill(young, young_server, min(_YOUNG, options.fill)),
            *_fill(old, old_server, options.fill),
        ]
        for shop in (young, old):
            asyncio.run(_settled(shop.owner_url))
        counted = {"young": young.count(_TRANSFERS), "old": old.count(_TRANSFERS)}
        for script, name in (("deposit", "deposit"), ("rounds", "bet and win by turns")):
            made = interleaved(
                options.rounds,
                {
                    "old": partial(
                        drive, f"{name}, old (32)", old.load(script, old_server, 32, 1.5 * options.seconds)
                    ),
                    "young": partial(
                        drive,
                        f"{name}, young (32)",
                        young.load(script, young_server, 32, 1.5 * options.seconds),
                    ),
                },
            )
            figure.runs += [*made["old"], *made["young"]]
            against = f"{counted['young']:,} transfers; another database of the same server, by turns"
            what = f"{name} after {counted['old']:,} transfers"
            figure.verdicts.append(verdict_of(what, ratio(made["old"], made["young"]), _AGE_BAR, against))
        counted_after = {"young": young.count(_TRANSFERS), "old": old.count(_TRANSFERS)}
    figure.runs += filled
    figure.notes.append(
        "Both were filled by game batches over HTTP, then vacuumed and analysed as autovacuum does in time."
        f" After these runs they held {counted_after['young']:,} and {counted_after['old']:,} transfers."
    )
    return figure


def _fill(shop: Shop, server: Server, target: int) -> list[Run]:
    """Bring a database to a number of transfers, by game batches.

    Raises:
        BenchError: it takes too long, or something was answered wrongly.
    """
    deadline = time.monotonic() + 60 + target / _SLOWEST_FILL
    runs: list[Run] = []
    rate = 10_000.0
    while (missing := target - shop.count(_TRANSFERS)) > 0:
        if time.monotonic() > deadline:
            raise BenchError(f"filling is too slow: {missing:,} transfers of {target:,} are missing")
        seconds = max(1.0, min(_SEGMENT_SECONDS, missing / rate))
        run = drive(f"filling to {target:,} by batches", shop.load("batch", server, _FILLING, seconds))
        if run.errors:
            raise BenchError(f"filling: {run.first_error}")
        runs.append(run)
        rate = max(run.rate, 1000.0)
    return runs


async def _settled(url: str) -> None:
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


@contextmanager
def _sampled(server: Server) -> Iterator[list[float]]:
    """Look at the memory several times a second, in a thread, for the time of a block."""
    samples: list[float] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            samples.append(server.memory_mb())

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield samples
    finally:
        ended.set()
        looking.join()

"""The wallet's calls over HTTP: against no database, hot against spread, in batches, by several processes."""

import time
from functools import partial

from bench.plan import Bench, best, ratio, verdict_of, warm
from bench.report import Figure, Verdict
from bench.world import MAIN, SPREAD, Server, Shop
from bench.wrk import BenchError, Run, drive, interleaved, spread

__all__ = ["batch", "check", "hot", "processes"]

_CHECK_BAR = 0.55
_HOT_BAR = 0.90
_BATCH_BAR = 20_000
_SIZE = 1000
_CONNECTIONS = (32, 128)
_SCRIPTS = {"deposit": "deposit", "bet": "bet", "rounds": "bet and win by turns"}
# In flight when the load generator ended; each was carried out or not, nobody was told.
_SETTLE_SECONDS = 1.0


def check(bench: Bench) -> Figure:
    """Deposit, bet and win beside the same application's endpoint that touches no database."""
    figure = Figure("check", "Single calls, against the same application without a database")
    shop = bench.world.shop("speed")
    against = "POST /v1/wallet/check of the same process: same token, body, parsing and answer, no database"
    with bench.world.serving(shop) as server:
        warm(shop, server)
        for script, name in _SCRIPTS.items():
            for connections in _CONNECTIONS:
                load = shop.load(script, server, connections, bench.options.seconds)
                bare = shop.load(script, server, connections, bench.options.seconds, is_check=True)
                full_name, bare_name = name, f"{name}, no database"
                made = interleaved(
                    bench.options.rounds,
                    {
                        full_name: partial(drive, f"{full_name} ({connections})", load),
                        bare_name: partial(drive, f"{bare_name} ({connections})", bare),
                    },
                )
                figure.runs += [*made[full_name], *made[bare_name]]
                found = ratio(made[full_name], made[bare_name])
                what = f"{name}, {connections} connections, one process"
                figure.verdicts.append(verdict_of(what, found, _CHECK_BAR, against))
    return figure


# Beside the shares of `hot`: why they can be above the whole.
_WHY_SLOWER = """
A share above 100 % does not say that a hot account is fast, but that what it is held against is slower.
Calls of one site share a transaction, those of eight sites do not: at the same number of connections
each site's batches are smaller, there are more of them, and each pays its statements, its COMMIT and its
flush of the log; all take turns at the few connections that a process has for batches. What the house's
account itself costs is told by the row of pgbench with one hot account: it has no batches. (Told from
how it is built, not measured apart.)
"""


def hot(bench: Bench) -> Figure:
    """One house account in every operation, beside eight of them; and one player beside many."""
    figure = Figure("hot", "One hot house account, against spread accounts")
    figure.notes.append(_WHY_SLOWER.strip())
    shop = bench.world.shop("speed")
    with bench.world.serving(shop) as server:
        warm(shop, server)
        for connections in _CONNECTIONS:
            seconds = bench.options.seconds
            one = shop.load("deposit", server, connections, seconds, sites=MAIN)
            eight = shop.load("deposit", server, connections, seconds, sites=SPREAD)
            player = shop.load("deposit", server, connections, seconds, players=1)
            made = interleaved(
                bench.options.rounds,
                {
                    "one": partial(drive, f"one site, one house account ({connections})", one),
                    "eight": partial(drive, f"eight sites, eight house accounts ({connections})", eight),
                    "player": partial(drive, f"one site, one player ({connections})", player),
                },
            )
            figure.runs += [*made["one"], *made["eight"], *made["player"]]
            players = bench.options.players
            against = f"eight sites with as many players together ({players}): smaller batches, see below"
            hot_house, hot_player = ratio(made["one"], made["eight"]), ratio(made["player"], made["eight"])
            figure.verdicts += [
                verdict_of(f"hot house account, {connections} connections", hot_house, _HOT_BAR, against),
                Verdict(
                    f"hot player, {connections} connections", f"{hot_player.median:.0%}", "-", None, against
                ),
            ]
    return figure


def batch(bench: Bench) -> Figure:
    """Game batches: bets and wins of random players, a thousand in a call."""
    figure = Figure("batch", f"Game batches of {_SIZE:,} operations")
    shop = bench.world.shop("speed")
    with bench.world.serving(shop) as server:
        warm(shop, server)
        made = interleaved(
            bench.options.rounds,
            {
                str(connections): partial(
                    drive,
                    f"game batch, {connections} at a time",
                    shop.load("batch", server, connections, bench.options.seconds),
                )
                for connections in (1, 2, 3, 4)
            },
        )
    figure.runs = [run for runs in made.values() for run in runs]
    rates = {name: spread([run.rate for run in runs]) for name, runs in made.items()}
    name = max(rates, key=lambda name: rates[name].median)
    found = rates[name]
    figure.verdicts.append(
        Verdict(
            f"game batch of {_SIZE:,} operations, one process",
            f"{found.median:,.0f}/s ({found.least:,.0f} to {found.most:,.0f}), {name} at a time",
            f">= {_BATCH_BAR:,}/s",
            found.median >= _BATCH_BAR,
            "a number of its own; half bets, half wins, all of different rounds",
        )
    )
    figure.notes.append("Rates count operations; latencies are of whole batches.")
    return figure


def processes(bench: Bench) -> Figure:
    """Two and four web processes beside one, and whether every operation that was acknowledged is there."""
    figure = Figure("processes", "Several web processes on one database")
    shop = bench.world.shop("speed")
    world = bench.world
    with world.serving(shop) as one, world.serving(shop, 2) as two, world.serving(shop, 4) as four:
        servers: dict[int, Server] = {1: one, 2: two, 4: four}
        for server in servers.values():
            warm(shop, server)
        made = interleaved(
            bench.options.rounds,
            {
                str(count): partial(
                    drive,
                    f"bet and win by turns, web processes: {count}",
                    shop.load("rounds", server, 64, bench.options.seconds),
                )
                for count, server in servers.items()
            },
        )
        time.sleep(_SETTLE_SECONDS)
    figure.runs = [run for runs in made.values() for run in runs]
    figure.notes.append("\n".join(_accounted_for(shop, run) for run in figure.runs))
    verified = [line for line in world.verify(shop).splitlines() if line.endswith("rows")]
    figure.notes.append("\n".join(["`cashier verify --full` afterwards:", "", "```", *verified, "```"]))
    answered = sum(run.answered for run in made["4"])
    figure.verdicts += [
        verdict_of("two web processes", ratio(made["2"], made["1"]), 1.0, "one web process, 64 connections"),
        Verdict(
            "four web processes: every acknowledged operation is there once",
            f"{answered:,} of {answered:,}; {best(made['4']).rate:,.0f}/s at best",
            "all, no error",
            not sum(run.errors for run in made["4"]),
            "rows of wallet_operation by id, and `cashier verify --full`",
        ),
    ]
    return figure


def _accounted_for(shop: Shop, run: Run) -> str:
    """Compare the answers of a run with the rows of the database.

    Raises:
        BenchError: an operation that was answered is not there.
    """
    rows = (
        "SELECT count(*) FROM wallet_operation WHERE starts_with(key, $1) AND code = 'OK' AND applied"
        " AND (split_part(key, '-', 2)::bigint = ANY ($2)) = $3"
    )
    acknowledged = shop.count(rows, f"{run.prefix}-", list(run.unanswered), False)
    unheard = shop.count(rows, f"{run.prefix}-", list(run.unanswered), True)
    if acknowledged != run.answered:
        raise BenchError(f"{run.what}: {run.answered} were answered, {acknowledged} are there")
    return (
        f"- {run.what}: {run.answered:,} acknowledged, {acknowledged:,} of them found;"
        f" {unheard} more were carried out whose answer the load generator no longer read."
    )

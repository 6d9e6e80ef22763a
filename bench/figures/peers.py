"""The product beside the usual ways: an ORM unit of work for each request, one SQL statement in pgbench."""

import asyncio
import re
import statistics
import subprocess
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import asyncpg

from app.plumbing.database import asyncpg_dsn
from bench.peers.orm import PLAYERS
from bench.plan import Bench, best, ratio, verdict_of, warm
from bench.report import Figure, Verdict
from bench.wrk import BenchError, Load, Run, drive, interleaved

__all__ = ["orm", "pgbench"]

_ORM_BAR = 5.0
_PGBENCH_BAR = 0.40
_POOLS = (5, 10, 20, 40)
_CLIENTS = (1, 2, 4, 8, 16, 32, 64)
_CONNECTIONS = (32, 64, 128, 256)
_FOLDER = Path(__file__).parents[1] / "peers"
_TPS = re.compile(r"^tps = ([0-9.]+) ", re.MULTILINE)
_DONE = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)
_SAMPLED = 0.1  # of pgbench's transactions, for percentiles; logging all would slow it


def orm(bench: Bench) -> Figure:
    """Deposits beside an honest ORM unit of work."""
    figure = Figure("orm", "Deposits, against an ORM unit of work for each request")
    options = bench.options
    shop = bench.world.shop("speed")
    peer_url = bench.world.database("peer")

    def peer_load(port: int, connections: int, seconds: float) -> Load:
        return Load("deposit", port, {"peer": "none"}, PLAYERS, connections, seconds)

    tried: dict[int, Run] = {}
    for pool in _POOLS[2:3] if options.is_quick else _POOLS:
        with bench.world.serving_orm(peer_url, pool) as peer:
            tried[pool] = drive(
                f"ORM, looking for its best pool: {pool}", peer_load(peer.port, 32, options.briefly)
            )
    figure.runs += tried.values()
    pool = max(tried, key=lambda size: tried[size].rate)
    with bench.world.serving(shop) as server, bench.world.serving_orm(peer_url, pool) as peer:
        warm(shop, server)
        for connections in (32, 128):
            own = shop.load("deposit", server, connections, options.seconds)
            other = peer_load(peer.port, connections, options.seconds)
            made = interleaved(
                options.rounds,
                {
                    "own": partial(drive, f"deposit ({connections})", own),
                    "orm": partial(drive, f"ORM deposit, pool of {pool} ({connections})", other),
                },
            )
            figure.runs += [*made["own"], *made["orm"]]
            against = (
                f"bench/peers/orm.py, one process, single entry, pool of {pool} (best of {_told(tried)})"
            )
            what = f"deposit against an ORM unit of work, {connections} connections"
            found = ratio(made["own"], made["orm"])
            figure.verdicts.append(verdict_of(what, found, _ORM_BAR, against, times=True))
    return figure


def pgbench(bench: Bench) -> Figure:
    """Deposits beside a one-statement plpgsql transfer, without HTTP, on the same server."""
    figure = Figure("pgbench", "Deposits, against pgbench with a one-statement plpgsql transfer")
    options = bench.options
    shop = bench.world.shop("speed")
    url = bench.world.database("pgbench")
    program = asyncio.run(_prepare(url))

    def run(script: str, clients: int, seconds: float, name: str) -> Run:
        return _pgbench(program, url, bench.world.folder, script, clients, seconds, name)

    best_of: dict[str, int] = {}
    clients_tried = (4, 16) if options.is_quick else _CLIENTS
    for script in ("spread", "hot"):
        names = {
            count: f"pgbench, {script}, looking for its best: {count} clients" for count in clients_tried
        }
        tried = [run(script, count, options.briefly, name) for count, name in names.items()]
        figure.runs += tried
        best_of[script] = best(tried).connections
    with bench.world.serving(shop) as server:
        warm(shop, server)

        def own(count: int, seconds: float, name: str) -> Run:
            return drive(name, shop.load("deposit", server, count, seconds))

        names = {count: f"deposit over HTTP, looking for its best ({count})" for count in _CONNECTIONS}
        tried = [own(count, options.briefly, name) for count, name in names.items()]
        figure.runs += tried
        ours = best(tried).connections
        made = interleaved(
            options.rounds,
            {
                "own": partial(own, ours, options.seconds, f"deposit over HTTP ({ours})"),
                **{
                    script: partial(run, script, clients, options.seconds, f"pgbench, {script}")
                    for script, clients in best_of.items()
                },
            },
        )
    figure.runs += [run for runs in made.values() for run in runs]
    own_best = f"{ours} connections (best of {_told(_CONNECTIONS)})"
    its_best = f"{best_of['spread']} clients (best of {_told(clients_tried)})"
    figure.verdicts.append(
        verdict_of(
            f"deposit over HTTP against pgbench, {own_best}",
            ratio(made["own"], made["spread"]),
            _PGBENCH_BAR,
            f"between random accounts, {its_best}, no HTTP",
        )
    )
    hot = ratio(made["own"], made["hot"])
    against = f"one house account, as the product has it, {best_of['hot']} clients, no HTTP"
    what = "the same, pgbench with one hot account"
    figure.verdicts.append(Verdict(what, f"{hot.median:.0%}", "-", None, against))
    figure.notes.append(
        f"pgbench's percentiles are of a sample of {_SAMPLED:.0%} of its transactions; its"
        " connections are clients."
    )
    return figure


def _told(numbers: Iterable[int]) -> str:
    return ", ".join(str(number) for number in numbers)


async def _prepare(url: str) -> Path:
    """Make the peer's tables; where the server's own pgbench is."""
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        await connection.execute((_FOLDER / "transfer.sql").read_text(encoding="utf-8"))
        folder = Path(await connection.fetchval("SELECT setting FROM pg_config WHERE name = 'BINDIR'"))
    finally:
        await connection.close()
    if not (folder / "pgbench").exists():
        raise BenchError(f"there is no pgbench beside the server, in {folder}")
    return folder / "pgbench"


def _pgbench(
    program: Path, url: str, folder: Path, script: str, clients: int, seconds: float, name: str
) -> Run:
    """Run pgbench once.

    Raises:
        BenchError: it failed.
    """
    for old in folder.glob("pgbench_log.*"):
        old.unlink()
    # Unlike between runs, so that keys never repeat.
    unique = str(len(list(folder.glob("pgbench-run-*"))))
    (folder / f"pgbench-run-{unique}").touch()
    command = [
        *(str(program), "--no-vacuum", "--protocol=prepared", f"--file={_FOLDER / script}.pgbench"),
        *(f"--client={clients}", f"--jobs={min(clients, 2)}", f"--time={max(1, round(seconds))}"),
        *("--define=n=0", f"--define=run={unique}"),
        *("--log", f"--sampling-rate={_SAMPLED}", f"--log-prefix={folder / 'pgbench_log'}"),
        url,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    tps, count = _TPS.search(done.stdout), _DONE.search(done.stdout)
    if done.returncode != 0 or tps is None or count is None:
        raise BenchError(f"pgbench: {(done.stderr or done.stdout).strip()[-500:]}")
    failed = _FAILED.search(done.stdout)
    times = sorted(
        int(line.split()[2]) / 1e3
        for log in folder.glob("pgbench_log.*")
        for line in log.open(encoding="ascii")
    ) or [0.0]
    cuts = statistics.quantiles(times, n=100) if len(times) > 1 else times * 99
    return Run(
        what=name,
        connections=clients,
        offered=0,
        seconds=int(count[1]) / float(tps[1]),
        answered=int(count[1]),
        errors=int(failed[1]) if failed else 0,
        first_error="a transaction of pgbench failed" if failed and int(failed[1]) else "",
        p50_ms=cuts[49],
        p95_ms=cuts[94],
        p99_ms=cuts[98],
        max_ms=times[-1],
    )

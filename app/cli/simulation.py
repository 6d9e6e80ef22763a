"""`cashier simulate`: days of payments and faults in a minute, judged by the books of everybody."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import structlog
import typer
import uvloop

from app.cli.asking import err, out
from app.demo import simulation
from app.worker import create_worker

__all__ = ["register"]


def register(program: typer.Typer) -> None:
    """Add the command."""
    program.command("simulate")(simulate)


def simulate(
    *,
    seed: Annotated[int, typer.Option(help="The same seed tells the same story.")],
    days: Annotated[int, typer.Option(min=1, help="Simulated days until everything heals.")] = 3,
    payments: Annotated[int, typer.Option(min=1, help="Wishes of players.")] = 200,
    faults: Annotated[int, typer.Option(min=0, help="What goes wrong meanwhile.")] = 50,
    plant: Annotated[
        simulation.Canary | None, typer.Option(help="A fault in ourselves, which must be found.")
    ] = None,
    plant_on: Annotated[
        simulation.Victim, typer.Option(help="Which orders the planted fault meets.")
    ] = simulation.Victim.ALL,
) -> None:
    """Simulate the whole money flow on a database of its own; status 1 at the first violation."""
    plan = simulation.Plan(seed, days, payments, faults, plant, plant_on)
    with (
        _silent(),
        simulation.opened_database() as url,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        outcome = runner.run(simulation.simulate(url, plan, create_worker))
    for line in outcome.report():
        out.print(line, highlight=False, markup=False)
    if outcome.violation:
        err.print(f"seed {seed}: {outcome.violation}", highlight=False, markup=False)
        for line in outcome.story:
            err.print(f"  {line}", highlight=False, markup=False)
        raise typer.Exit(1)


@contextmanager
def _silent() -> Iterator[None]:
    """No log inside: what fails on purpose would be logged a thousand times."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)

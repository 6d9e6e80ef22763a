"""The commands that stand alone: run the processes, look after the schema, the ledger and the documents."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from app import ledger, openapi, worker
from app.cli.asking import err, out, reachable, require_database, with_pipes
from app.main import run as serve_web
from app.plumbing import schema
from app.plumbing.pipes import Pipes
from app.settings import Settings

__all__ = ["program"]

program = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@program.command("up")
def everything() -> None:
    """Start everything on this machine: PostgreSQL, cashier, worker, demo shop and sandbox provider."""
    # This process has imported every room; the supervisor, which runs for days, needs none of them.
    os.execv(sys.executable, [sys.executable, "-m", "app.demo.up"])  # noqa: S606  our own module


@program.command()
def web(
    processes: Annotated[int, typer.Option(min=1, help="Web processes sharing the port.")] = 1,
) -> None:
    """Run the web process."""
    settings = Settings.read()
    require_database(settings)
    serve_web(settings, processes=processes)


@program.command("worker")
def work() -> None:
    """Run the job process."""
    settings = Settings.read()
    require_database(settings)
    worker.run(settings)


@program.command()
def migrate() -> None:
    """Bring the database to the newest revision."""
    settings = reachable(Settings.read())
    schema.upgrade(settings.database_url)
    out.print(f"at {schema.newest_revision()}")


@program.command()
def verify(
    *,
    full: Annotated[
        bool, typer.Option("--full", help="From the first row, not from the last verified one.")
    ] = False,
) -> None:
    """Re-derive the ledger's invariants; status 1 at the first violation."""

    async def work(pipes: Pipes) -> ledger.Report:
        return await ledger.verified(pipes.database, full=full)

    report = with_pipes(work)
    for invariant, rows in report.checked.items():
        out.print(f"{invariant}  {rows:>10} rows")
    for violation in report.violations:
        err.print(
            f"[bold red]{violation.invariant} violated[/] at site {violation.site_id}: {violation.what}"
        )
    for site_id, head in report.heads.items():
        out.print(f"site {site_id} sealed up to {head.number}: {head.head.hex()}")
    raise typer.Exit(0 if report.ok else 1)


@program.command("openapi")
def golden(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Compare, write nothing; status 1 on a difference.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Where the documents are.")] = Path("openapi"),
) -> None:
    """Write the API's documents, or compare them byte for byte."""
    different = openapi.differences(folder)
    if check:
        for name in different:
            err.print(f"{folder / name} is not what the code says; run `cashier openapi`")
        raise typer.Exit(1 if different else 0)
    openapi.write(folder)

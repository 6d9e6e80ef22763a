"""What was measured, as a table for the eye and as docs/benchmarks.md; every number comes from a run."""

import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from app.kernel.clock import SystemClock
from bench import wrk
from bench.world import World
from bench.wrk import Run, spread

__all__ = ["Facts", "Figure", "Verdict", "facts_of", "table_of_verdicts", "written"]

_NOTES = Path(__file__).parent / "notes.md"
_BEGIN = "# Benchmarks"
_HOW_TO_READ = """\
Written by `make bench`; every number below was measured in one run on one machine, where the load generator,
the web process and PostgreSQL share the cores. The worker runs for whole deposits and notices only. Rates are
operations answered as they should be; any other answer makes a figure invalid. Runs that are compared took
turns (A B A B ...): rates are medians, with the least and the most beside them, ratios are taken turn by
turn. Latencies are wrk's: for each percentile the median over the runs, and the longest of all. "wrk cores"
is what the load generator took of the processor."""
_PACKAGES = ("fastapi", "uvicorn", "uvloop", "httptools", "asyncpg", "sqlalchemy", "pydantic")
_SETTINGS = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "shared_buffers",
    "max_wal_size",
)
_SYNCS, _PAGE = 200, b"\0" * 8192


@dataclass(frozen=True, slots=True)
class Verdict:
    """One measured relation beside its bar; `met` is None where there is no bar."""

    what: str
    measured: str
    bar: str
    met: bool | None
    against: str


@dataclass(slots=True)
class Figure:
    """One figure: what ran, what it comes to, and what must be known to read it."""

    name: str
    title: str
    runs: list[Run] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failure: str = ""

    @property
    def errors(self) -> int:
        """Answers that were not the expected ones, over all runs."""
        return sum(run.errors for run in self.runs)

    @property
    def first_error(self) -> str:
        """What the first of them said."""
        return next((run.first_error for run in self.runs if run.errors), "")

    @property
    def is_sound(self) -> bool:
        """Whether its numbers may be believed."""
        return not self.errors and not self.failure


@dataclass(frozen=True, slots=True)
class Facts:
    """What the numbers depend on."""

    machine: Mapping[str, str]
    versions: Mapping[str, str]
    postgres: Mapping[str, str]


def facts_of(world: World) -> Facts:
    """Look at the machine, the packages and the server."""
    machine = {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores for everything together",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "one 8 kB page to the disk (write, fdatasync)": f"{_sync_us(world.folder):.0f} µs, mean of {_SYNCS}",
    }
    # Compiled by its own profile (PGO) or not: a sixth to a quarter of speed at the same version.
    built = f"{platform.python_build()[1]}, {platform.python_compiler()}"
    versions = {"Python": f"{platform.python_version()} ({built})"}
    versions |= {name: metadata.version(name) for name in _PACKAGES}
    versions["load generator"] = wrk.version()
    return Facts(machine, versions, {name: world.setting(name) for name in _SETTINGS})


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _sync_us(folder: Path) -> float:
    """How long this disk takes to keep one page: what every commit waits for."""
    file = folder / "sync"
    with file.open("wb") as page:
        began = time.perf_counter()
        for _ in range(_SYNCS):
            page.write(_PAGE)
            page.flush()
            os.fdatasync(page.fileno())
        taken = time.perf_counter() - began
    file.unlink()
    return taken / _SYNCS * 1e6


def table_of_verdicts(figures: Sequence[Figure]) -> str:
    """The figures beside their bars."""
    rows = [
        (verdict.what, verdict.measured, verdict.bar, _word(figure, verdict), verdict.against)
        for figure in figures
        for verdict in figure.verdicts
    ]
    rows += [
        (figure.title, "-", "-", "FAILED", figure.failure.splitlines()[0])
        for figure in figures
        if figure.failure
    ]
    return _table(("figure", "measured", "bar", "verdict", "ran against"), rows)


def _word(figure: Figure, verdict: Verdict) -> str:
    if figure.errors:
        return f"INVALID: {figure.errors} wrong answers"
    return {True: "met", False: "MISSED", None: ""}[verdict.met]


def _table_of_runs(runs: Sequence[Run]) -> str:
    """Runs of one name together: the median, and the least and most rate."""
    names = list(dict.fromkeys(run.what for run in runs))
    return _table(
        (
            "run",
            "connections",
            "offered/s",
            "achieved/s",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "max ms",
            "errors",
            "wrk cores",
        ),
        [_row(name, [run for run in runs if run.what == name]) for name in names],
    )


def _row(name: str, same: Sequence[Run]) -> tuple[str, ...]:
    rate = spread([run.rate for run in same])
    achieved = f"{rate.median:,.0f}"
    if len(same) > 1:
        achieved += f" ({rate.least:,.0f}-{rate.most:,.0f}, {len(same)} runs)"
    times = [
        [run.p50_ms for run in same],
        [run.p95_ms for run in same],
        [run.p99_ms for run in same],
    ]
    return (
        name,
        str(same[0].connections),
        f"{same[0].offered:,.0f}" if same[0].offered else "as answered",
        achieved,
        *(_milliseconds(spread(one).median) for one in times),
        _milliseconds(max(run.max_ms for run in same)),
        str(sum(run.errors for run in same)),
        f"{spread([run.generator_cores for run in same]).median:.2f}" if same[0].generator_cores else "-",
    )


def _milliseconds(value: float) -> str:
    return f"{value:.1f}" if value else "-"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown that is a table for the eye as well."""
    clean = [[cell.replace("|", "/") for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in (list(head), *clean)) for at in range(len(head))]
    lines = [head, ["-" * width for width in widths], *clean]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def _facts(facts: Facts) -> str:
    parts = [
        _table(("machine", ""), list(facts.machine.items())),
        _table(("version", ""), list(facts.versions.items())),
        _table(("PostgreSQL says", ""), list(facts.postgres.items())),
    ]
    return "\n\n".join(parts)


def written(figures: Sequence[Figure], facts: Facts, *, how: str, minutes: float, quick: bool) -> str:
    """The whole document.

    Args:
        figures: what was measured.
        facts: what it depends on.
        how: seconds, rounds and fill of this run, in words.
        minutes: how long it all took.
        quick: whether it is a smoke run, whose numbers mean little.
    """
    day = SystemClock().now().date().isoformat()
    parts = [
        _BEGIN,
        _HOW_TO_READ,
        f"{day}, {minutes:.0f} minutes; {how}.",
    ]
    if quick:
        parts.append("**A quick run: it proves that the harness works. Its numbers are not to be quoted.**")
    parts += ["## The figures and their bars", table_of_verdicts(figures)]
    parts += ["## What it ran on", _facts(facts), "## The runs"]
    for figure in figures:
        parts.append(f"### {figure.title}")
        if figure.failure:
            parts.append(f"**Failed:** {figure.failure}")
        if figure.errors:
            parts.append(f"**{figure.errors} wrong answers**, the first: `{figure.first_error}`")
        if figure.runs:
            parts.append(_table_of_runs(figure.runs))
        parts += figure.notes
    parts += ["## Tried, and what came of it", _NOTES.read_text(encoding="utf-8").strip()]
    return "\n\n".join(parts) + "\n"

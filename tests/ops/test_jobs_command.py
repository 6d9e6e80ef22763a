"""Jobs that failed every try: a person sees them, and gives them another round."""

from app.plumbing import queue
from app.plumbing.database import Database
from tests.plumbing.test_queue import added, dead, until, working
from tests.staff.test_command import run, said


async def test_dead_jobs_are_listed_and_revived(database: Database, clone_url: str) -> None:
    seen: list[int] = []

    async def fails_twice(payload: queue.Payload) -> None:
        seen.append(payload["n"])
        if len(seen) <= 2:
            raise RuntimeError("no such table")

    async def are_dead() -> bool:
        return len(await dead(database)) == 2

    worker = queue.Worker(database)
    worker.handle("test.job", fails_twice, tries=1)
    await added(database, 7)
    await added(database, 8)
    async with working(worker):
        await until(are_dead)
        newest, oldest = await dead(database)
        lines = (await said(clone_url, "jobs", "dead")).splitlines()
        assert [line.split()[0] for line in lines] == [str(newest.id), str(oldest.id)]
        assert lines[1].endswith("""test.job  after 1 tries  {"n": 7}  RuntimeError('no such table')""")
        assert len((await said(clone_url, "jobs", "dead", "--limit", 1)).splitlines()) == 1
        more = ("--reason", "the table is there")
        refused = await run(clone_url, "jobs", "revive", oldest.id, newest.id + 1, *more)
        assert refused.exit_code == 2
        assert f"no dead job: {newest.id + 1}" in refused.stderr
        assert len(seen) == 2
        assert await said(clone_url, "jobs", "revive", oldest.id, *more) == "1 revived\n"
        await until(lambda: seen[2:] == [7])
    assert [letter.id for letter in await dead(database)] == [newest.id]
    diary = await said(clone_url, "diary", 0)
    assert f"job.revived  job:{oldest.id}" in diary
    assert "the table is there" in diary

"""Who lets an address hear of a site's payments, and who ends it, is a line of the site's diary."""

from app import staff
from app.staff import Role
from tests.staff.desk import Desk
from tests.staff.test_command import run, said


async def test_what_is_done_to_an_endpoint(desk: Desk, clone_url: str) -> None:
    boss, token = await desk.operator_and_token("boss", Role.ADMINISTRATOR)
    endpoint = ("webhooks", "endpoint")
    url = "https://events.example.com/"
    added = await said(
        clone_url, *endpoint, "add", desk.site_id, url, "--type", "deposit.*", "--token", token
    )
    its_id, secret = added.split(":")[0], added.split()[-1]
    for verb in ("pause", "resume", "rotate", "remove"):
        secret += await said(clone_url, *endpoint, verb, desk.site_id, its_id, "--token", token)
    lines = (await desk.diary())[::-1]
    assert [(line.actor, line.deed, line.subject) for line in lines] == [
        (boss.actor, f"endpoint.{deed}", its_id)
        for deed in ("added", "paused", "resumed", "secret_rotated", "removed")
    ]
    assert lines[0].detail == {"url": url, "types": ["deposit.*"]}
    assert "whsec_" not in str(lines)


async def test_who_may_not_lets_nobody_hear(desk: Desk, clone_url: str) -> None:
    _, weak = await desk.operator_and_token("weak", *(set(Role) - {Role.ADMINISTRATOR}))
    endpoint = ("webhooks", "endpoint")
    for words in (("add", desk.site_id, "https://events.example.com/"), ("rotate", desk.site_id, "whe_1")):
        done = await run(clone_url, *endpoint, *words, "--token", weak)
        assert isinstance(done.exception, staff.NotPermitted), words
    assert await said(clone_url, *endpoint, "list", desk.site_id) == ""
    assert await desk.diary() == []

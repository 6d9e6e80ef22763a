"""The endpoints of a site on the command line, beside a running `cashier up` and its real worker."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import standardwebhooks

from tests.processes.own_merchant import Merchant, serving
from tests.processes.running import Home, running, until

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("commands")]


@dataclass
class Desk:
    """A demo, its site, and a server that takes events."""

    home: Home
    merchant: Merchant

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.merchant.port}/events"

    def says(self, line: str) -> str:
        """What a command of `cashier webhooks` prints; `SITE` stands for the site."""
        done = self.home.command("webhooks", *line.replace("SITE", str(self.home.demo["site_id"])).split())
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refuses(self, line: str) -> str:
        done = self.home.command("webhooks", *line.replace("SITE", str(self.home.demo["site_id"])).split())
        assert (done.returncode, done.stdout) == (1, "")
        return " ".join(done.stderr.split())


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with serving() as merchant, running(CASHIER_ALLOWED_PRIVATE_PEERS=f"127.0.0.1:{merchant.port}") as home:
        yield Desk(home, merchant)


def test_the_life_of_an_endpoint(desk: Desk) -> None:
    added = desk.says(f"endpoint add SITE {desk.url} --type deposit.*")
    endpoint_id, secret = re.fullmatch(
        r"(whe_\w+): its secret is shown once\n  (whsec_\S+)\n", added
    ).groups()  # type: ignore[union-attr]
    assert f"{endpoint_id}  {desk.url}  deposit.*  active" in desk.says("endpoint list SITE")
    event_id = desk.says(f"endpoint test SITE {endpoint_id}").strip()
    until(lambda: bool(desk.merchant.events), "the test event")
    headers, body = desk.merchant.events[0]
    assert standardwebhooks.Webhook(secret).verify(body.decode(), headers)["type"] == "webhook.test"
    assert headers["webhook-id"] == json.loads(body)["id"] == event_id
    until(lambda: "HTTP 204" in desk.says(f"attempts SITE {event_id}"), "the attempt on record")
    assert desk.says(f"endpoint pause SITE {endpoint_id}") == "paused\n"
    assert "is paused" in desk.refuses(f"endpoint test SITE {endpoint_id}")
    assert desk.says(f"endpoint resume SITE {endpoint_id}") == "active; 0 events wait for it\n"
    new = desk.says(f"endpoint rotate SITE {endpoint_id}").strip()
    assert desk.says(f"replay-events SITE {endpoint_id} --since 2026-01-01") == "queued 1\n"
    until(lambda: len(desk.merchant.events) == 2, "the event again")
    headers, body = desk.merchant.events[1]
    for known in (secret, new):
        assert standardwebhooks.Webhook(known).verify(body.decode(), headers)["id"] == event_id
    assert desk.says(f"endpoint remove SITE {endpoint_id}") == "removed; 0 events dropped\n"
    assert desk.says("endpoint list SITE") == ""
    assert "There is no webhook endpoint" in desk.refuses(f"endpoint test SITE {endpoint_id}")


def test_what_cannot_be_registered_is_refused_with_its_reason(desk: Desk) -> None:
    assert "There is no event type deposit.paid" in desk.refuses(
        f"endpoint add SITE {desk.url} --type deposit.paid"
    )
    assert "must begin with https" in desk.refuses("endpoint add SITE http://shop.example.com/events")
    assert "CASHIER_ALLOWED_PRIVATE_PEERS" in desk.refuses("endpoint add SITE http://127.0.0.1:5432/events")
    assert "There is no site 999999" in desk.refuses("endpoint add 999999 https://shop.example.com/events")
    nothing = "no attempt: nothing was sent yet, or there is no evt_none at this site\n"
    assert desk.says("attempts SITE evt_none") == nothing


def test_a_site_asks_for_every_change(desk: Desk) -> None:
    site_id = str(desk.home.demo["site_id"])
    for told, every in (("every-change", True), ("final-states", False)):
        said = desk.home.command("site", "tell", site_id, told).stdout
        assert said == f"notified of {told.replace('-', ' ')}\n"
        shown = json.loads(desk.home.command("site", "show", site_id).stdout)
        assert shown["tell_every_change"] is every
    assert desk.home.command("site", "tell", site_id, "nothing").returncode == 2
    missing = desk.home.command("site", "tell", "999999", "every-change")
    assert missing.stderr == "error: There is no site 999999.\n"

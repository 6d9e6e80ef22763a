"""The command line beside a running `cashier up`: one's own shop in one line, its keys, its notifications."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.processes.own_merchant import Merchant, serving, signature
from tests.processes.running import Home, Player, browser, running, until

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("commands")]


@dataclass
class Connected:
    """A demo, and a merchant of our own that `site create` has connected to it."""

    home: Home
    merchant: Merchant
    created: dict[str, Any]

    @property
    def player(self) -> Player:
        return Player(self.home.demo | self.created | {"currency": "JPY"}, login="own player")

    def deposited(self, amount: str) -> dict[str, Any]:
        """A deposit through the merchant; returns what the merchant was told."""
        heard = len(self.merchant.told)
        player = self.player
        assert player.deposit(amount)["stage"] == "go_to_provider"
        player.decide("approve")
        player.until_stage("success")
        until(lambda: len(self.merchant.told) > heard, f"the notification; refused: {self.merchant.refused}")
        return self.merchant.told[-1]


@pytest.fixture(scope="module")
def connected() -> Iterator[Connected]:
    with serving() as merchant, running(CASHIER_ALLOWED_PRIVATE_PEERS=f"127.0.0.1:{merchant.port}") as home:
        url = f"http://127.0.0.1:{merchant.port}"
        line = f"site create --name Own --currency JPY --callout-url {url}/ask --notify-url {url}/tell --json"
        done = home.command(*line.split(), "--frame-origin", url)
        assert done.returncode == 0, done.stderr
        created = json.loads(done.stdout)
        merchant.salts = [created["salt"]]
        yield Connected(home, merchant, created)


def test_a_site_is_created_in_one_line_and_takes_a_deposit(connected: Connected) -> None:
    assert connected.created.keys() == {"site_id", "salt", "tokens", "webhook_secret"}
    assert connected.created["tokens"].keys() == {"wallet", "play", "read"}
    assert connected.created["site_id"] != connected.home.demo["site_id"]
    told = connected.deposited("1500")
    asked = connected.merchant.asked[-1]
    assert asked["action"] == "check_deposit"
    assert (asked["amount"], asked["currency"]) == (1500, "JPY")  # without minor units
    assert asked["transaction_id"] == str(told["transaction_id"])
    assert (told["amount"], told["status_id"], told["type_id"]) == (1500, 4, 3)
    assert told["external_id"] == f"own-{told['transaction_id']}"
    assert told["site_login"] == "own player"
    question = {
        "site_id": connected.created["site_id"],
        "site_login": "own player",
        "external_id": told["external_id"],
    }
    question["signature"] = signature(question, connected.merchant.salts[0])
    answer = browser().post(f"{connected.home.demo['base_url']}/v1/payments/status/", json=question).json()
    assert (answer["success"], answer["status_id"]) == (True, 4)
    assert "sealed up to" in connected.home.command("verify").stdout


def test_settings_are_shown_without_secrets(connected: Connected) -> None:
    shown = connected.home.command("site", "show", str(connected.created["site_id"]))
    settings = json.loads(shown.stdout)
    assert settings["callout_url"].endswith(f":{connected.merchant.port}/ask")
    assert settings["wallet_mode"] == "transfer"
    for secret in (connected.created["salt"], connected.created["webhook_secret"]):
        assert secret not in shown.stdout
    missing = connected.home.command("site", "show", "999999")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == "error: There is no site 999999.\n"


def test_a_rotated_salt_signs_and_the_one_before_is_still_accepted(connected: Connected) -> None:
    old = connected.merchant.salts[0]
    rotated = connected.home.command("site", "rotate-salt", str(connected.created["site_id"]))
    new = rotated.stdout.strip()
    assert re.fullmatch(r"[0-9A-Za-z_-]{40,}", new)
    assert new != old
    answer = connected.player.obtain_key()  # signed with the old one
    assert answer.json()["success"] is True
    connected.merchant.salts = [new]  # and believes the new one only
    connected.deposited("700")
    assert connected.merchant.refused == []
    connected.created["salt"] = new
    assert connected.player.obtain_key().json()["success"] is True


def test_a_token_is_shown_once(connected: Connected) -> None:
    made = connected.home.command("token", "create", str(connected.created["site_id"]), "read")
    assert re.fullmatch(r"ck_read_[0-9A-Za-z_-]{40,}\n", made.stdout)
    refused = connected.home.command("token", "create", str(connected.created["site_id"]), "everything")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr


def test_a_notification_is_sent_again_with_the_same_id(connected: Connected) -> None:
    told = connected.deposited("900")
    message_id = connected.merchant.message_ids[-1]
    replayed = connected.home.command("webhooks", "replay", str(connected.created["site_id"]), message_id)
    assert replayed.stdout == "queued\n"
    until(lambda: connected.merchant.message_ids.count(message_id) == 2, "the second time")
    assert connected.merchant.effects[told["transaction_id"]] == 900
    unknown = connected.home.command("webhooks", "replay", str(connected.created["site_id"]), "whd_none")
    assert (unknown.returncode, unknown.stderr) == (1, "error: There is no webhook whd_none at this site.\n")


def test_an_address_that_may_not_be_called_is_refused(connected: Connected) -> None:
    line = "site create --name Own --currency JPY --notify-url https://shop.example/tell --callout-url"
    refused = connected.home.command(*line.split(), "http://127.0.0.1:5432/ask")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: This web address cannot be used:")
    assert "CASHIER_ALLOWED_PRIVATE_PEERS" in refused.stderr
    named = connected.home.command(
        *line.split(), "http://127.0.0.1:5432/ask", CASHIER_ALLOWED_PRIVATE_PEERS="127.0.0.1:5432"
    )
    assert named.returncode == 0
    assert (
        "note: the demo that runs may not call every address" in named.stderr
    )  # it was not told at its start


def test_the_command_line_says_what_it_misses() -> None:
    nowhere = Home(ROOT / "tests", more={"CASHIER_DATA_DIR": "/nonexistent"})
    for line in ("verify", "site show 1"):
        refused = nowhere.command(*line.split())
        assert refused.returncode == 1
        assert "set CASHIER_DATABASE_URL, or start `cashier up` first" in " ".join(refused.stderr.split())
    assert "CASHIER_DATABASE_URL is not set" in nowhere.command("web").stderr
    assert "CASHIER_DATABASE_URL is not set" in nowhere.command("worker").stderr

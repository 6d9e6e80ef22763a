"""What a person does to wallets from the command line: decide, look, close a day, grant, block."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app import cli, merchants
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing.database import Database
from app.wallet import audit, modes
from app.wallet.contract import Refused
from app.wallet.sweeps import grant_bonus, sweep_stuck
from tests import invariants
from tests.wallet.counter import Counter, opened


@dataclass
class Desk:
    """A counter, and the command line over the same database."""

    counter: Counter
    url: str

    async def run(self, line: str, *more: str) -> Result:
        """Run one command; SITE stands for the site's number."""
        words = line.replace("SITE", str(self.counter.site_id)).split()
        environment = {"CASHIER_DATABASE_URL": self.url}

        def invoked() -> Result:
            return CliRunner().invoke(cli.program, [*words, *more], env=environment)

        # A command has an event loop of its own.
        return await asyncio.to_thread(invoked)

    async def said(self, line: str) -> str:
        done = await self.run(line)
        assert done.exit_code == 0, (done.output, done.exception)
        return str(done.stdout)


@pytest.fixture
async def desk(database: Database, clock: MovableClock, clone_url: str) -> AsyncIterator[Desk]:
    async with opened(database, clock) as counter:
        await counter.player(cash=1000)
        yield Desk(counter, clone_url)
        await invariants.hold(database)


async def closings(counter: Counter, day: date) -> dict[str, dict[str, Any]]:
    async with counter.pipes.database.reading() as reader:
        found = await audit.closing(reader, counter.site_id, day)
    assert all(one.is_balanced for one in found)
    return {one.currency: one.told() for one in found}


async def test_a_policy_is_decided_and_shown(desk: Desk) -> None:
    told = json.loads(await desk.said("wallet policy SITE max_bet=500 reverse_wins=true"))
    assert (told["max_bet"], told["reverse_wins"]) == (500, True)
    told = json.loads(await desk.said("wallet policy SITE --platform acme max_bet=900"))
    assert (told["max_bet"], told["reverse_wins"]) == (900, True)
    assert json.loads(await desk.said("wallet policy SITE"))["max_bet"] == 500
    done = await desk.run("wallet policy SITE max_bet=many")
    assert isinstance(done.exception, Refused)


async def test_stuck_rounds_are_listed(desk: Desk) -> None:
    await desk.counter.play("bet", amount=100)
    # The command asks the machine's clock, for which the round may still lie ahead.
    await desk.counter.decide(stuck_after_hours="1")
    told = await desk.said("wallet stuck SITE")
    assert told in {"", "2026-11-21 12:00  acme  r-1  wait\n"}


async def test_wins_that_the_house_is_the_reason_not_to_pay_are_listed(desk: Desk) -> None:
    assert await desk.said("wallet refused-wins SITE") == ""
    await desk.counter.decide(stuck_action="close")
    await desk.counter.play("bet", "b-1", amount=100)
    desk.counter.clock.advance(60 * 60 * 49)
    await sweep_stuck(desk.counter.pipes, desk.counter.journal)
    await desk.counter.play("win", "w-1", referenceId="b-1", amount=500)
    told = await desk.said("wallet refused-wins SITE")
    assert told.startswith("2026-11-23 13:00  aigerim  KZT  500  acme  r-1  w-1  wop_")


async def test_players_with_money_are_listed(desk: Desk) -> None:
    await desk.counter.player("[bolat]")
    await desk.counter.player("[red]", cash=5, currency="USD")
    assert await desk.said("wallet balances SITE") == (
        "aigerim  KZT  cash 1000  bonus 0  held 0\n[red]  USD  cash 5  bonus 0  held 0\n"
    )


async def test_a_bonus_is_granted_once_and_can_be_played(desk: Desk) -> None:
    assert await desk.said("wallet grant-bonus SITE aigerim KZT 250 --id gift-1") == "OK\n"
    assert await desk.said("wallet grant-bonus SITE aigerim KZT 250 --id gift-1") == "OK (answered before)\n"
    assert (await desk.run("wallet grant-bonus SITE aigerim KZT 251 --id gift-1")).exit_code == 1
    assert (await desk.run("wallet grant-bonus SITE nobody KZT 250 --id gift-2")).exit_code == 1
    _, told = await desk.counter.get("/v1/player/info", playerExternalId="aigerim")
    purse = told["data"]["balances"]["KZT"]
    assert (purse["cash"], purse["bonus"], purse["withdrawable"]) == (1000, 250, 1000)
    assert (await desk.counter.play("bet", amount=1100))["data"]["bonusPart"] == 100


async def test_a_player_is_blocked_and_let_in_again(desk: Desk) -> None:
    helps = [await desk.said(f"player {command} --help") for command in ("block", "unblock", "close")]
    assert ["neither play" in helps[0], "again" in helps[1], "has left" in helps[2]] == [True] * 3
    assert await desk.said("player block SITE aigerim") == "blocked; was active\n"
    assert (await desk.counter.play("bet", amount=1))["code"] == "PLAYER_BLOCKED"
    assert await desk.said("player unblock SITE aigerim") == "active; was blocked\n"
    assert await desk.said("player close SITE aigerim") == "closed; was active\n"
    assert (await desk.run("player block SITE nobody")).exit_code == 1


async def test_a_game_is_listed_and_switched_off(desk: Desk) -> None:
    body = {"playerExternalId": "aigerim", "currency": "KZT", "gameCode": "aviator"}
    await desk.run("wallet game add SITE acme aviator --name", "Aviator")
    assert (await desk.counter.post("/v1/game/launch", body))[1]["data"]["providerId"] == "acme"
    await desk.run("wallet game add SITE acme aviator --off --name", "Aviator")
    assert (await desk.counter.post("/v1/game/launch", body))[1]["code"] == "VALIDATION"


async def test_a_game_of_a_site_that_is_not_there_is_refused_in_words(desk: Desk) -> None:
    done = await desk.run("wallet game add 9999 acme aviator --name", "Aviator")
    assert isinstance(done.exception, merchants.SiteNotFound), repr(done.exception)


async def test_the_wallet_mode_changes_only_when_nothing_is_left(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Money first, then an open round."""
    monkeypatch.setattr(modes, "_WAIT_SECONDS", 0)
    url = "https://shop.example.com/wallet"
    await desk.counter.play("bet", "b-1", amount=400)
    done = await desk.run(f"site wallet-mode SITE --callback-url {url}")
    assert done.exit_code == 1
    assert done.stderr == "in the way: 1 player(s) have 6.00 KZT in all\nin the way: 1 round(s) are open\n"
    await desk.counter.transfer("withdraw", 600)
    done = await desk.run(f"site wallet-mode SITE --callback-url {url}")
    assert (done.exit_code, done.stderr) == (1, "in the way: 1 round(s) are open\n")
    await desk.counter.play("win", referenceId="b-1", amount=0, isRoundFinished=True)
    assert await desk.said(f"site wallet-mode SITE --dry-run --callback-url {url}") == "nothing was changed\n"
    assert (await desk.counter.deposit(5, "t-still"))["code"] == "OK"
    await desk.counter.transfer("withdraw", 5)
    assert await desk.said(f"site wallet-mode SITE --callback-url {url}") == "changed\n"
    desk.counter.clock.advance(3)
    assert (await desk.counter.deposit(5))["code"] == "WRONG_WALLET_MODE"
    assert await desk.said("site wallet-mode SITE") == "changed\n"
    desk.counter.clock.advance(3)
    assert (await desk.counter.deposit(5))["code"] == "OK"


async def test_what_comes_while_the_wallet_mode_changes_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modes, "_WAIT_SECONDS", 1)
    await desk.counter.transfer("withdraw", 1000)
    changing = asyncio.create_task(
        desk.run("site wallet-mode SITE --callback-url https://shop.example.com/wallet")
    )
    is_set = "SELECT 1 FROM site WHERE callback_url <> ''"
    while not await desk.counter.rows(is_set):  # noqa: ASYNC110  it is set by another event loop
        await asyncio.sleep(0.01)
    assert (await desk.counter.deposit(5))["code"] == "OK"
    done = await changing
    assert (done.exit_code, done.stderr) == (1, "in the way: 1 player(s) have 0.05 KZT in all\n")
    said = "it came while the mode was changed: the site is in balance transfer mode, as before\n"
    assert done.stdout.endswith(said)


async def test_a_callback_url_that_may_not_be_called_is_refused(desk: Desk) -> None:
    await desk.counter.transfer("withdraw", 1000)
    done = await desk.run("site wallet-mode SITE --callback-url http://127.0.0.1/wallet")
    assert done.exit_code == 1
    assert (await desk.counter.deposit(5))["code"] == "OK"


async def test_a_day_is_closed_by_currency(desk: Desk) -> None:
    counter = desk.counter
    await counter.decide(reverse_wins="true")
    await grant_bonus(counter.pipes, counter.site_id, "aigerim", Money(50, "KZT"), "gift-1")
    day = counter.clock.now().date()
    await counter.play("bet", "b-1", amount=100)
    await counter.play("bet", "b-2", amount=200)
    await counter.play("bet", amount=99_999)
    await counter.play("rollback", referenceId="b-2")
    await counter.play("win", "w-1", referenceId="b-1", amount=70)
    await counter.play("rollback", referenceId="w-1")
    await counter.play("betwin", betAmount=10, winAmount=25, amount=None)
    counter.clock.advance(timedelta(days=1))
    await counter.transfer("withdraw", 300)
    await counter.player("bolat", cash=77, currency="USD")
    first, second = await closings(counter, day), await closings(counter, day + timedelta(days=1))
    assert {name: value for name, value in first["KZT"].items() if name not in {"sha256", "closing"}} == {
        "currency": "KZT",
        "opening": 0,
        "deposits": 1000,
        "withdrawals": 0,
        "cashier": 0,
        "bonuses": 50,
        "bets": 310,
        "wins": 95,
        "reversals": 200,
        "reversed_wins": 70,
        "repayments": 0,
        "count": 8,
    }
    assert (first["USD"]["closing"], second["USD"]["deposits"], second["USD"]["count"]) == (0, 77, 1)
    assert (second["KZT"]["opening"], second["KZT"]["withdrawals"]) == (first["KZT"]["closing"], 300)
    assert await closings(counter, day) == first
    assert first["KZT"]["sha256"] != second["KZT"]["sha256"]


async def test_the_closing_is_printed_as_json(desk: Desk) -> None:
    told = json.loads(await desk.said("wallet closing SITE 2026-11-21"))
    assert [(one["currency"], one["deposits"], one["closing"]) for one in told] == [("KZT", 1000, 1000)]
    assert json.loads(await desk.said("wallet closing SITE 2026-11-20"))[0]["count"] == 0


@pytest.mark.parametrize(
    "command", ["balances 999", "refused-wins 999", "stuck 999", "closing 999 2026-11-21"]
)
async def test_a_site_that_does_not_exist_is_told(desk: Desk, command: str) -> None:
    failed = await desk.run(f"wallet {command}")
    assert failed.exit_code == 1
    assert isinstance(failed.exception, merchants.SiteNotFound)


async def test_free_rounds_are_granted_listed_and_cancelled(desk: Desk) -> None:
    granted = "wallet free-rounds grant SITE gift aigerim KZT 3 --platform acme --until 2099-01-01"
    assert await desk.said(granted) == "granted\n"
    assert await desk.said(granted) == "granted before\n"
    assert (await desk.run(granted.replace("KZT 3", "KZT 4"))).exit_code == 1
    await desk.counter.play("bet", "f-1", amount=0, freeRoundId="gift")
    listed = "gift  aigerim  KZT  acme  1 of 3 used  won 0  paid 0  "
    assert await desk.said("wallet free-rounds list SITE") == f"{listed}until 2099-01-01T00:00:00.000Z\n"
    assert (
        await desk.said("wallet free-rounds cancel SITE gift --player aigerim")
        == "cancelled for 1 player(s)\n"
    )
    assert await desk.said("wallet free-rounds list SITE --campaign gift") == f"{listed}cancelled\n"
    assert (await desk.run("wallet free-rounds cancel SITE none")).exit_code == 1


async def test_debts_are_listed(desk: Desk) -> None:
    await desk.counter.decide(reverse_wins="true")
    await desk.counter.play("bet", "b-1", amount=100)
    await desk.counter.play("win", "w-1", referenceId="b-1", amount=50)
    await desk.counter.transfer("withdraw", 950)
    await desk.counter.play("rollback", referenceId="w-1")
    told = await desk.said("wallet debts SITE")
    assert told.startswith("aigerim  KZT  owes 50  since 2026-11-21T12:00:")
    assert told.endswith("  win w-1\n")


async def test_held_wins_are_listed_and_decided(desk: Desk) -> None:
    await desk.counter.decide(max_win="10")
    await desk.counter.play("win", "w-1", kind="promo", amount=11)
    told = await desk.said("wallet held list SITE")
    number = told.split()[0]
    assert told.startswith(f"{number}  aigerim  KZT  11  win w-1  since 2026-11-21T12:00:")
    assert (await desk.run(f"wallet held release SITE {number}1 --because", "no such")).exit_code == 1
    said = await desk.said(f"wallet held take SITE {number} --because mistaken")
    assert said.startswith(f"take: {number}  aigerim")
    assert await desk.said("wallet held list SITE") == ""


async def test_a_float_is_funded_shown_and_given_back(desk: Desk) -> None:
    assert await desk.said("wallet float show SITE KZT") == "-1000\n"
    assert await desk.said("wallet float fund SITE KZT 1500 --id payment-1") == "noted\n"
    assert await desk.said("wallet float fund SITE KZT 1500 --id payment-1") == "noted before\n"
    assert (await desk.run("wallet float return SITE KZT 501 --id back-1")).exit_code == 1
    assert await desk.said("wallet float return SITE KZT 500 --id back-1") == "noted\n"
    assert await desk.said("wallet float show SITE KZT") == "0\n"

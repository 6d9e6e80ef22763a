"""What an audit of issue 3 found at the command line: each test failed when it was written."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from typer.testing import CliRunner, Result

from app import cli
from app.kernel.clock import MovableClock
from app.kernel.errors import Refusal
from app.plumbing.database import Database
from tests.wallet.counter import Counter, opened


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        yield made


async def run(url: str, *words: str) -> Result:
    environment = {"CASHIER_DATABASE_URL": url}
    return await asyncio.to_thread(lambda: CliRunner().invoke(cli.program, list(words), env=environment))


async def test_a_game_of_a_site_that_is_not_there_is_refused_in_words(
    counter: Counter, clone_url: str
) -> None:
    done = await run(clone_url, "wallet", "game", "add", "9999", "acme", "g", "--name", "G")
    assert isinstance(done.exception, Refusal), repr(done.exception)[:80]


@pytest.mark.parametrize(
    "line", ["diary 9999", "webhooks endpoint list 9999", "webhooks attempts SITE evt_nowhere"]
)
async def test_what_is_not_there_is_not_an_empty_list(counter: Counter, clone_url: str, line: str) -> None:
    done = await run(clone_url, *line.replace("SITE", str(counter.site_id)).split())
    assert done.exit_code != 0, done.output


async def test_a_site_needs_a_name(counter: Counter, clone_url: str) -> None:
    address = "https://shop.example.com/x"
    asked = ["--name", "", "--currency", "KZT", "--callout-url", address, "--notify-url", address]
    assert (await run(clone_url, "site", "create", *asked)).exit_code != 0


async def test_a_token_that_leaked_can_be_revoked(counter: Counter, clone_url: str) -> None:
    """docs/wallet.md speaks of revoked tokens; `token` has `create` only."""
    done = await run(clone_url, "token", "--help")
    assert "revoke" in done.output


async def test_a_policy_in_a_currency_that_the_site_has_not_is_refused(
    counter: Counter, clone_url: str
) -> None:
    done = await run(clone_url, "payout", "policy", str(counter.site_id), "JPY", "--auto-below", "5")
    assert done.exit_code != 0, done.output

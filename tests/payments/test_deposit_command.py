"""Deposits from the command line: a player says that money is missing, and somebody looks for it."""

import asyncio
import json
from datetime import timedelta

from typer.testing import CliRunner, Result

from app import cli, payments, players
from app.kernel.money import Money
from tests.payments.casework import R, only, resolve
from tests.payments.desk import Desk
from tests.payments.world import fact


async def run(url: str, *words: object) -> Result:
    """A command, in a thread: it has an event loop of its own."""
    env = {"CASHIER_DATABASE_URL": url, "CASHIER_OPERATOR_TOKEN": ""}
    return await asyncio.to_thread(
        lambda: CliRunner().invoke(cli.program, [str(word) for word in words], env=env)
    )


async def said(url: str, *words: object) -> str:
    done = await run(url, *words)
    assert done.exit_code == 0, (done.output, done.exception)
    return str(done.stdout)


async def disputed_amount(desk: Desk) -> str:
    """A deposit for which the provider says that another sum came."""
    await desk.world.ask(await desk.world.session("marat"), key="another sum")
    reference = await desk.world.reference()
    await desk.world.notice(fact(reference, minor=100_000, theirs="theirs-2\x07"), mark="m")
    return str((await desk.world.payment()).payment_id)


async def test_deposits_are_listed_by_player_status_order_and_attention(desk: Desk, clone_url: str) -> None:
    paid = await desk.deposit()
    desk.world.clock.advance(timedelta(minutes=1))
    odd = await disputed_amount(desk)
    desk.world.clock.advance(timedelta(minutes=1))
    await desk.world.ask(key="unpaid")
    waiting = str((await desk.world.payment()).payment_id)
    site = desk.site_id
    first, second, third = [
        f"{(await desk.found(one)).created_at:%Y-%m-%d %H:%M}" for one in (paid, odd, waiting)
    ]
    everything = await said(clone_url, "deposit", "list", site)
    assert everything.splitlines() == [
        f"{waiting}  {third}  1500.00 KZT  aigerim  card  pending/awaiting_player",
        f"{odd}  {second}  1500.00 KZT  marat  card  processing/conflicted  !amount_differs",
        f"{paid}  {first}  1500.00 KZT  aigerim  card  completed/completed",
    ]

    async def ids(*words: object) -> list[str]:
        return [
            line.split()[0] for line in (await said(clone_url, "deposit", "list", site, *words)).splitlines()
        ]

    assert await ids("--player", "marat") == [odd]
    assert await ids("--status", "completed") == [paid]
    assert await ids("--status", "completed", "--status", "pending") == [waiting, paid]
    assert await ids("--attention") == [odd]
    order = (await desk.found(odd)).external_id
    assert await ids("--order", order) == [odd]
    shorter = await run(clone_url, "deposit", "list", site, "--limit", 1)
    assert (shorter.exit_code, shorter.stdout.split()[0]) == (0, waiting)
    assert shorter.stderr == "There are older ones: these are the newest 1 (--limit).\n"
    listed = json.loads(await said(clone_url, "deposit", "list", site, "--limit", 2, "--json"))
    assert listed["has_more"] is True
    assert [(one["id"], one["site_login"], one.get("attention")) for one in listed["data"]] == [
        (waiting, "aigerim", None),
        (odd, "marat", "amount_differs"),
    ]


async def test_who_asks_for_nobody_hears_so(desk: Desk, clone_url: str) -> None:
    nobody = await run(clone_url, "deposit", "list", desk.site_id, "--player", "nobody")
    assert isinstance(nobody.exception, players.PlayerNotFound)
    nothing = await run(clone_url, "deposit", "show", desk.site_id, "dep_none")
    assert isinstance(nothing.exception, payments.PaymentNotFound)


async def test_a_refund_is_not_shown_as_a_deposit(desk: Desk, clone_url: str) -> None:
    refund = await desk.refund(await desk.deposit())
    wrong = await run(clone_url, "deposit", "show", desk.site_id, refund.payment_id)
    assert isinstance(wrong.exception, payments.PaymentNotFound)
    assert refund.payment_id not in await said(clone_url, "deposit", "list", desk.site_id)


async def test_a_deposit_is_shown_with_its_money_its_case_and_its_history(desk: Desk, clone_url: str) -> None:
    odd = await disputed_amount(desk)
    shown = await said(clone_url, "deposit", "show", desk.site_id, odd)
    head, *rest = shown.splitlines()
    assert head.endswith("marat  card  processing/conflicted  !amount_differs")
    facts = {line.split(maxsplit=1)[0]: line.split(maxsplit=1)[1] for line in rest}
    found = await desk.found(odd)
    assert f"transaction {found.number}" in facts["numbers"]
    assert facts["money"] == (
        "credited 0.00 KZT  refund pending 0.00 KZT  refunded 0.00 KZT  charged back 0.00 KZT"
    )
    assert facts["case"].endswith(
        f"amount_differs: cashier case show {desk.site_id} {facts['case'].split()[0]}"
    )
    assert facts["case"].split()[0] in await said(clone_url, "case", "list", desk.site_id)
    assert facts["try"].split()[0] == await desk.world.reference()
    assert "deposit.created" in facts["1"]
    assert "by provider's notice  1000.00 KZT" in shown.splitlines()[-1]
    assert "!amount_differs" in shown.splitlines()[-1]


async def test_a_case_that_has_ended_is_shown_with_its_end(desk: Desk, clone_url: str) -> None:
    odd = await disputed_amount(desk)
    ended = await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=Money(100_000, "KZT"))
    shown = await said(clone_url, "deposit", "show", desk.site_id, odd)
    assert f"case       {ended.case_id}  amount_differs, resolved as accepted: cashier case show" in shown
    plain = json.loads(await said(clone_url, "deposit", "show", desk.site_id, odd, "--json"))
    assert (plain["open_cases"], plain["resolved_cases"]) == ([], [ended.case_id])


async def test_nothing_that_a_provider_writes_reaches_a_terminal_as_it_is(desk: Desk, clone_url: str) -> None:
    odd = await disputed_amount(desk)
    shown = await said(clone_url, "deposit", "show", desk.site_id, odd)
    assert shown.count("theirs-2\\x07") == 2
    assert "\x07" not in shown  # a bell; the runner takes colours out by itself


async def test_programs_read_what_the_api_says_to_a_person(desk: Desk, clone_url: str) -> None:
    paid = await desk.deposit()
    refund = await desk.sent(paid, 10_000)
    shown = json.loads(await said(clone_url, "deposit", "show", desk.site_id, paid, "--json"))
    assert (shown["id"], shown["site_login"], shown["sub_status"]) == (paid, "aigerim", "completed")
    assert shown["captured_minor"] == Money(150_000, "KZT").minor
    assert [one["type"] for one in shown["events"]] == await desk.events(paid)
    assert len(shown["attempts"]) == 1
    assert (shown["refunds"], shown["open_cases"]) == ([refund.payment_id], [])
    plain = await said(clone_url, "deposit", "show", desk.site_id, paid)
    assert f"refund     {refund.payment_id}  100.00 KZT" in plain


async def test_a_deposit_that_is_not_over_keeps_a_site_in_its_wallet_mode(desk: Desk, clone_url: str) -> None:
    await desk.world.ask(key="unpaid")
    async with desk.world.database.reading() as reader:
        assert await payments.under_way(reader, desk.site_id) == {payments.Kind.DEPOSIT: 1}
        assert await payments.under_way(reader, desk.site_id + 1) == {}
    url = "https://shop.example.com/wallet"
    done = await run(clone_url, "site", "wallet-mode", desk.site_id, "--callback-url", url)
    assert (done.exit_code, done.stdout) == (1, "nothing was changed\n")
    assert done.stderr == "in the way: 1 deposit(s) of the cashier are not over\n"

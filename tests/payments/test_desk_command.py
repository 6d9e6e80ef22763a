"""Refunds, disputes and cases from the command line."""

import asyncio
import json

import pytest
from typer.testing import CliRunner, Result

from app import cli, payments, staff
from app.kernel.money import AmountMalformed
from tests.payments.desk import Desk
from tests.payments.world import fact, paid

PROOF = "cd" * 32


async def run(url: str, *words: object, token: str = "") -> Result:
    """A command, in a thread: it has an event loop of its own."""
    env = {"CASHIER_DATABASE_URL": url, "CASHIER_OPERATOR_TOKEN": token}
    return await asyncio.to_thread(
        lambda: CliRunner().invoke(cli.program, [str(word) for word in words], env=env)
    )


def unboxed(told: str) -> str:
    """What a usage error says, out of the box that is drawn around it."""
    return " ".join(told.replace("│", " ").split())


async def said(url: str, *words: object, token: str = "") -> str:
    done = await run(url, *words, token=token)
    assert done.exit_code == 0, (done.output, done.exception)
    return str(done.stdout)


async def tokens(desk: Desk) -> tuple[str, str]:
    async with desk.world.database.transaction() as tx:
        made = [
            await staff.new_token(tx, one.operator_id, at=desk.world.clock.now())
            for one in (desk.maker, desk.checker)
        ]
    return made[0], made[1]


async def test_a_refund_by_two_people(desk: Desk, clone_url: str) -> None:
    deposit = await desk.deposit()
    maker, checker = await tokens(desk)
    site = desk.site_id
    wish = ("refund", "request", site, deposit, "--reason", "twice", "--key", "k-1", "--amount", "100.50")
    asked = await said(clone_url, *wish, token=maker)
    refund_id = asked.split()[0]
    assert "pending/awaiting_approval  100.50 KZT" in asked
    assert "approved" in await said(clone_url, "refund", "approve", site, refund_id, token=checker)
    listed = await said(clone_url, "refund", "list", site, deposit)
    assert "pending 100.50 KZT" in listed
    assert "remaining 1399.50 KZT" in listed
    gone = await said(clone_url, "refund", "cancel", site, refund_id, "--reason", "no", token=maker)
    assert "cancelled/by_operator" in gone
    again = await said(clone_url, *wish[:6], "--key", "k-2", token=maker)
    no = ("refund", "reject", site, again.split()[0], "--reason", "no")
    assert "cancelled/rejected" in await said(clone_url, *no, token=checker)


async def test_who_asked_for_a_refund_and_who_approved_it_say_why(desk: Desk, clone_url: str) -> None:
    deposit = await desk.deposit()
    maker, checker = await tokens(desk)
    site = desk.site_id
    wish = ("refund", "request", site, deposit, "--amount", "100.50", "--reason")
    refund_id = (await said(clone_url, *wish, "paid twice", "--key", "1", token=maker)).split()[0]
    await said(clone_url, "refund", "approve", site, refund_id, "--reason", "seen both", token=checker)
    other = (await said(clone_url, *wish, "by mistake", "--key", "2", token=maker)).split()[0]
    await said(clone_url, "refund", "approve", site, other, token=checker)
    await said(clone_url, "refund", "cancel", site, other, "--reason", "it was none", token=maker)
    shown = await said(clone_url, "refund", "show", site, refund_id)
    head, asked, approved, *history = shown.splitlines()
    assert head == f"{refund_id}  pending/approved  100.50 KZT  of {deposit}"
    assert (asked, approved) == ("asked by maker: paid twice", "approved by checker: seen both")
    assert [line.split()[3] for line in history] == await desk.events(refund_id)
    assert "by checker  seen both" in history[-1]
    listed = await said(clone_url, "refund", "list", site, deposit)
    assert (
        "100.50 KZT  of " + deposit + "  asked by maker: paid twice; approved by checker: seen both\n"
        in listed
    )
    assert "approved by checker: no reason given; called off by maker: it was none\n" in listed
    told = json.loads(await said(clone_url, "refund", "show", site, refund_id, "--json"))
    assert (told["id"], told["people"]) == (refund_id, [asked, approved])


async def test_a_dispute_and_a_case(desk: Desk, clone_url: str) -> None:
    deposit = await desk.deposit()
    told = {"number": "cb-1", "stage": "opened", "minor": 50_000}
    await desk.world.notice(fact(await desk.world.reference(), "unknown", dispute=told), mark="d")
    for words in ((), ("--deposit", deposit)):
        assert "opened  500.00 KZT" in await said(clone_url, "dispute", "list", desk.site_id, *words)
    maker, checker = await tokens(desk)
    site = desk.site_id
    opened = await said(clone_url, "case", "open", site, deposit, "--reason", "odd", token=maker)
    case_id = opened.splitlines()[-1].split()[0]
    assert case_id in await said(clone_url, "case", "list", site)
    more = ("--note", "all is well", "--attachment", PROOF)
    await said(clone_url, "case", "resolve", site, case_id, "noted", *more, token=maker)
    assert "resolved" in await said(clone_url, "case", "decide", site, case_id, "approve", token=checker)
    shown = await said(clone_url, "case", "show", site, case_id)
    assert "we knew" in shown
    assert PROOF in shown
    [listed] = (await said(clone_url, "dispute", "list", site)).splitlines()[-1:]
    move = ("dispute", "move", site, listed.split()[0], "submitted", "--note", "the receipt")
    assert "submitted  500.00 KZT" in await said(clone_url, *move, token=maker)
    assert case_id not in await said(clone_url, "case", "list", site)
    assert case_id in await said(clone_url, "case", "list", site, "--resolved")


async def conflicted(desk: Desk, clone_url: str, token: str) -> tuple[str, str]:
    """A deposit for which another sum came, and its case."""
    await desk.world.ask(key="another sum")
    await desk.world.notice(fact(await desk.world.reference(), minor=100_000), mark="less")
    [case_id] = [
        line.split()[0] for line in (await said(clone_url, "case", "list", desk.site_id)).splitlines()
    ]
    return str((await desk.world.payment()).payment_id), case_id


@pytest.mark.parametrize("amount", ["1000.00", "1000", "1000.00 KZT", " 1000 kzt "])
async def test_what_really_came_is_an_amount_in_the_currency_of_the_payment(
    desk: Desk, clone_url: str, amount: str
) -> None:
    maker, checker = await tokens(desk)
    deposit, case_id = await conflicted(desk, clone_url, maker)
    shown = await said(clone_url, "case", "show", desk.site_id, case_id)
    assert f"attempt    {await desk.world.reference()}\n" in shown
    more = ("--note", "the bank's letter", "--attachment", PROOF, "--amount", amount)
    await said(clone_url, "case", "resolve", desk.site_id, case_id, "accepted", *more, token=maker)
    await said(clone_url, "case", "decide", desk.site_id, case_id, "approve", token=checker)
    found = await desk.found(deposit)
    assert (found.sub_status, str(found.captured)) == ("completed", "1000.00 KZT")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("accepted", "--amount", "10 USD"), "the payment is in KZT, so the amount must be too, not in USD."),
        (("accepted",), "`accepted` needs what was really paid, for example --amount 12.34."),
        (("noted", "--amount", "10"), "only `accepted` takes an amount, and this is `noted`."),
    ],
)
async def test_an_amount_that_cannot_be_proposed_is_refused_in_words(
    desk: Desk, clone_url: str, words: tuple[str, ...], sentence: str
) -> None:
    maker, _ = await tokens(desk)
    _, case_id = await conflicted(desk, clone_url, maker)
    more = ("--note", "the bank's letter", "--attachment", PROOF)
    refused = await run(clone_url, "case", "resolve", desk.site_id, case_id, *words, *more, token=maker)
    assert refused.exit_code == 2
    assert sentence in unboxed(refused.stderr)
    assert "proposed" not in await said(clone_url, "case", "show", desk.site_id, case_id)


async def test_an_amount_about_no_payment_and_one_that_cannot_be_read(desk: Desk, clone_url: str) -> None:
    maker, _ = await tokens(desk)
    _, case_id = await conflicted(desk, clone_url, maker)
    more = ("--note", "the bank's letter", "--attachment", PROOF, "--amount")
    wish = ("case", "resolve", desk.site_id, case_id, "accepted", *more)
    unreadable = await run(clone_url, *wish, "1,000.00", token=maker)
    assert isinstance(unreadable.exception, AmountMalformed)
    await desk.world.notice(fact("nobody's"), mark="orphan")
    listed = (await said(clone_url, "case", "list", desk.site_id)).splitlines()
    [orphan] = [line.split()[0] for line in listed if "orphan_notice" in line]
    of_nobody = await run(
        clone_url, "case", "resolve", desk.site_id, orphan, "accepted", *more, "10", token=maker
    )
    assert "this case is about no payment, so nothing can be credited by it." in unboxed(of_nobody.stderr)


async def test_who_decides_before_anybody_proposed_hears_how_to_propose(desk: Desk, clone_url: str) -> None:
    maker, checker = await tokens(desk)
    _, case_id = await conflicted(desk, clone_url, maker)
    nothing = await run(clone_url, "case", "decide", desk.site_id, case_id, "approve", token=checker)
    assert nothing.exit_code == 1
    assert nothing.stderr == (
        "error: Nothing was proposed for this case; propose first with:\n"
        f"  cashier case resolve {desk.site_id} {case_id} RESOLUTION --note ... --attachment ...\n"
    )
    unknown = await run(clone_url, "case", "decide", desk.site_id, "cas_none", "approve", token=checker)
    assert isinstance(unknown.exception, payments.CaseNotFound)


async def test_a_deed_of_a_person_without_a_token_says_how_to_get_one(desk: Desk, clone_url: str) -> None:
    deposit = await desk.deposit()
    asked: tuple[tuple[object, ...], ...] = (
        ("case", "open", desk.site_id, deposit, "--reason", "odd"),
        ("refund", "request", desk.site_id, deposit, "--reason", "odd", "--key", "k-1"),
        ("case", "decide", desk.site_id, "cas_none", "approve"),
    )
    for words in asked:
        refused = await run(clone_url, *words)
        assert refused.exit_code == 2, words
        assert "`cashier operator create LOGIN --role ROLE` makes a token." in unboxed(refused.stderr)
        assert "CASHIER_OPERATOR_TOKEN" in unboxed(refused.stderr)
    unknown = await run(clone_url, *asked[0], token="somebody's")
    assert isinstance(unknown.exception, staff.OperatorNotAuthentic)


async def test_refunds_are_stopped_by_hand_and_the_diary_says_so(desk: Desk, clone_url: str) -> None:
    deposit = await desk.deposit()
    asked = await desk.refund(deposit)
    await desk.approve(asked.payment_id)
    site = desk.site_id
    await said(clone_url, "switch", "stop", site, "refunds", "--reason", "twice")
    await desk.carry_on(asked.payment_id)
    assert desk.provider.refunds == []
    assert f"refunds  site {site}  stopped" in await said(clone_url, "switch", "list")
    await said(clone_url, "switch", "release", site, "refunds", "--reason", "mended")
    desk.provider.answers = desk.provider.statuses = [paid("back-1")]
    await desk.carry_on(asked.payment_id)
    assert len(desk.provider.refunds) == 1
    diary = await said(clone_url, "diary", site)
    assert "switch.stopped" in diary
    assert "mended" in diary

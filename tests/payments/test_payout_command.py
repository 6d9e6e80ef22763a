"""Withdrawals from the command line: what waits is listed and shown, and people decide with their tokens."""

import json
from typing import Any

from app import staff
from app.kernel.clock import SystemClock
from tests.payments.stage import Bank, Stage
from tests.staff.test_command import run, said


async def token_of(stage: Stage, login: str, *roles: staff.Role) -> str:
    new = staff.NewOperator(login, login.title(), frozenset(roles or {staff.Role.FINANCE}))
    async with stage.database.transaction() as tx:
        return (await staff.create_operator(tx, new, at=stage.clock.now()))[1]


async def waiting(stage: Stage, url: str, *policy: str) -> Any:  # noqa: ANN401  a row
    # The command has the machine's clock.
    stage.clock.advance(SystemClock().now() - stage.clock.now())
    await said(url, "payout", "policy", stage.site_id, "kzt", "--auto-below", "none", *policy)
    await stage.fund()
    return await stage.withdraw()


async def test_a_policy_is_shown_and_changed_and_the_diary_says_by_whom(stage: Stage, clone_url: str) -> None:
    shown = json.loads(await said(clone_url, "payout", "policy", stage.site_id, "KZT"))
    assert (shown["auto_below"], shown["needs_initiation"]) == ("1000000.00 KZT", False)
    changed = await said(
        clone_url,
        *("payout", "policy", stage.site_id, "KZT", "--auto-below", "500.50", "--second-above", "2000"),
        *("--cooling-seconds", 60, "--no-cancel", "--initiation"),
    )
    found = json.loads(changed)
    assert (found["auto_below"], found["second_above"]) == ("500.50 KZT", "2000.00 KZT")
    assert (found["cooling_seconds"], found["player_may_cancel"], found["needs_initiation"]) == (
        60,
        False,
        True,
    )
    assert found["closed_loop"] is True
    diary = await said(clone_url, "diary", stage.site_id)
    assert "payout_policy.set" in diary
    for wrong in (("--auto-below", "1e3"), ("--second-above", "100")):
        refused = await run(clone_url, "payout", "policy", stage.site_id, "KZT", *wrong)
        assert refused.exit_code == 1


async def test_what_waits_is_listed_shown_and_approved_by_two(
    stage: Stage, bank: Bank, clone_url: str
) -> None:
    found = await waiting(stage, clone_url, "--second-above", "1000")
    listed = await said(clone_url, "payout", "list", stage.site_id)
    made = f"{found.created_at:%Y-%m-%d %H:%M}"
    assert listed == f"{found.payment_id}  {made}  1500.00 KZT  a******77  under_review\n"
    anna, bota = await token_of(stage, "anna"), await token_of(stage, "bota")
    first = await said(
        clone_url, "payout", "approve", stage.site_id, found.payment_id, CASHIER_OPERATOR_TOKEN=anna
    )
    assert first == "awaiting_second_approval\n"
    again = await run(
        clone_url, "payout", "approve", stage.site_id, found.payment_id, CASHIER_OPERATOR_TOKEN=anna
    )
    assert again.exit_code == 1
    assert isinstance(again.exception, staff.VotedAlready)
    second = await said(
        clone_url, "payout", "approve", stage.site_id, found.payment_id, "--token", bota, "--reason", "known"
    )
    assert second == "approved\n"
    await stage.work()
    shown = json.loads(await said(clone_url, "payout", "show", stage.site_id, found.payment_id))
    assert (shown["sub_status"], shown["approval"]["state"]) == ("completed", "approved")
    assert len(shown["approval"]["votes"]) == 2
    assert [leg["destination"] for leg in shown["legs"]] == ["a******77"]
    assert "aigerim77" not in json.dumps(shown)
    assert await said(clone_url, "payout", "list", stage.site_id) == ""
    assert found.payment_id in await said(clone_url, "payout", "list", stage.site_id, "--all")


async def test_rejected_and_cancelled_with_reasons(stage: Stage, clone_url: str) -> None:
    found = await waiting(stage, clone_url)
    anna = await token_of(stage, "anna")
    mine = {"CASHIER_OPERATOR_TOKEN": anna}
    missing = await run(clone_url, "payout", "reject", stage.site_id, found.payment_id, **mine)
    assert missing.exit_code == 2
    gone = await said(
        clone_url,
        *("payout", "reject", stage.site_id, found.payment_id, "--reason", "stolen card"),
        *("--tell", "Please use your own card."),
        **mine,
    )
    assert gone == "rejected\n"
    other = await stage.withdraw()
    back = await said(
        clone_url, "payout", "cancel", stage.site_id, other.payment_id, "--reason", "asked for", **mine
    )
    assert back == "by_operator\n"
    nobody = await run(
        clone_url, "payout", "approve", stage.site_id, found.payment_id, CASHIER_OPERATOR_TOKEN="ck_staff_x"
    )
    assert isinstance(nobody.exception, staff.OperatorNotAuthentic)

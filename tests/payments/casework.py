"""What people at the desk do with cases, and payments that need them."""

from datetime import timedelta

from app import methods, payments, providers, staff
from app.payments.model import CaseKind
from app.payments.policies import set_policy
from tests.payments.desk import Desk, kzt
from tests.payments.peers import answering
from tests.payments.world import ACCOUNT, UNKNOWN, fact

PROOF = "ab" * 32
R = payments.Resolution
APPROVE, REJECT = staff.Verdict.APPROVE, staff.Verdict.REJECT


async def open_cases(desk: Desk) -> list[payments.Case]:
    async with desk.world.database.reading() as reader:
        return await payments.cases_of_site(reader, desk.site_id)


async def only(desk: Desk) -> payments.Case:
    [its] = await open_cases(desk)
    return its


async def propose(desk: Desk, case_id: str, resolution: R, **more: object) -> staff.Approval:
    by = more.pop("by", desk.maker)
    assert isinstance(by, staff.Operator)
    said = {"note": "the bank's letter of today", "attachment": PROOF, **more}
    desk.world.clock.advance(timedelta(seconds=1))
    proposal = payments.Proposal(resolution, **said)  # type: ignore[arg-type]
    return await payments.propose_resolution(desk.pipes, desk.site_id, case_id, by, proposal)


async def decide(
    desk: Desk, case_id: str, verdict: staff.Verdict = APPROVE, by: staff.Operator | None = None
) -> payments.Case:
    return await payments.decide_case(
        desk.pipes, desk.site_id, case_id, by or desk.checker, verdict, reason="I have read it"
    )


async def resolve(desk: Desk, case_id: str, resolution: R, **more: object) -> payments.Case:
    await propose(desk, case_id, resolution, **more)
    return await decide(desk, case_id)


async def pay_out(desk: Desk) -> None:
    """Let the site pay out to wallets, and its provider know how."""
    desk.provider.caps |= providers.Cap.PAYOUT
    async with desk.world.database.transaction() as tx:
        await methods.offer_method(
            tx,
            desk.site_id,
            "e_wallet",
            minimum=kzt(100),
            maximum=kzt(100_000_000),
            account=ACCOUNT,
            direction=methods.Direction.PAYOUT,
        )


async def unknown_payout(desk: Desk) -> str:
    """A withdrawal of 1,000 tenge that was sent, and of which nobody knows."""
    await pay_out(desk)
    async with desk.world.database.transaction() as tx:
        rules = payments.PayoutPolicy(auto_below=kzt(10**9), needs_initiation=False)
        await set_policy(tx, desk.site_id, "KZT", rules, by=staff.SYSTEM, at=desk.world.clock.now())
    await desk.deposit()
    desk.world.shop.manner = answering({"code": 50, "external_id": "withdrawal_1"})
    wish = payments.PayoutWish("e_wallet", kzt(100_000), "wish", 3, {"wallet": "aigerim.77"})
    await payments.request_payout(desk.pipes, await desk.world.session(), wish)
    row = await desk.world.payment()
    desk.provider.answers = desk.provider.statuses = [UNKNOWN]
    await desk.carry_on(row.payment_id)
    assert (await desk.found(row.payment_id)).sub_status.value == "unknown"
    return str(row.payment_id)


async def raised(desk: Desk, payment_id: str) -> payments.Case:
    return await payments.raise_case(
        desk.pipes, desk.site_id, payment_id, desk.maker, reason="it waits for two weeks"
    )


async def conflicted_deposit(desk: Desk) -> str:
    return await conflicted_deposit_of(desk, "theirs-1")


async def conflicted_deposit_of(desk: Desk, theirs: str) -> str:
    """A deposit of which 1,200 tenge came, not 1,500."""
    await desk.world.ask(key=theirs)
    row = await desk.world.payment()
    await desk.world.notice(fact(await desk.world.reference(), theirs=theirs, minor=120_000))
    assert (await desk.found(row.payment_id)).sub_status.value == "conflicted"
    return str(row.payment_id)


async def orphan(desk: Desk, *facts: dict[str, object]) -> payments.Case:
    await desk.world.notice(*(facts or (fact("att_of_nobody", theirs="x-1"),)))
    return next(one for one in await open_cases(desk) if one.kind is CaseKind.ORPHAN_NOTICE)

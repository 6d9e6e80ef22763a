"""What a provider's word does, whatever was known before: every cell of the table, for every rank of evidence.

Written from payments.md sections 1.4 and 1.5, not from the code. A cell is an effect; `x|3y` is x from less than
a notice and y from a notice on, `x|4y` y from the provider's own answer to our question (or a settlement) on,
`x|4y|5z` z from a settlement or from two people with a proof. A hint makes us ask wherever something else would
follow, and calls people where a payment whose place another has taken was paid all the same.
"""
# ruff: noqa: E501  a table is read by its columns

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.kernel.money import Money
from app.payments import matrix, rules, states
from app.payments.matrix import Arrival, Effect, Standing
from app.payments.model import Attention, Evidence, Facts, Source, Step, Verdict
from app.payments.states import Kind, LegState, Status, SubStatus

COLUMNS = """
standing                         paid as ordered      paid, other amount   paid, other number   declined              cancelled             taken back            pending            needs player       unknown  not found yet  not found   not sent
"""
TABLE = """
deposit, not sent                stay                 stay                 stay                 stay                  stay                  stay                  stay               stay               stay     stay           stay        stay
deposit, submitted               pend+ask|3pay        pend+ask|3clash      pend+ask|3clash      fail                  end                   ask|4fail             pend               await              doubt    stay           unsent      unsent
deposit, awaiting player         ask|3pay             ask|3clash           ask|3clash           ask|3fail             ask|3end              ask|4!taken_back      pend               stay               stay     !order_vanished  !order_vanished  unsent
deposit, provider pending        ask|3pay             ask|3clash           ask|3clash           ask|3fail             ask|3end              ask|4fail             stay               await              stay     !order_vanished  !order_vanished  unsent
deposit, unknown                 ask|3pay             ask|3clash           ask|3clash           fail                  end                   ask|4fail             pend               await              stay     stay           unsent      unsent
deposit, conflicted              stay|4settled|5pay   !amount_differs      !second_payment      ask|4!denied_after_success|5fail  ask|4!denied_after_success|5fail  ask|4!taken_back|5went_back  stay       stay               stay     stay           stay        stay
deposit, completed               stay|4settled        !amount_differs      !second_payment      ask|4reverse          ask|4reverse          ask|4!taken_back  stay       stay               stay     stay           stay        stay
deposit, failed                  ask|4late            ask|4clash           ask|4clash           stay|4settled         stay|4settled         stay|4settled         stay|4settled      stay|4settled      stay     stay|4settled  stay|4settled  stay|4settled
deposit, cancelled               ask|4!paid_after_cancel  ask|4!paid_after_cancel  ask|4!paid_after_cancel  stay|4settled  stay|4settled  stay|4settled    stay|4settled      stay|4settled      stay     stay|4settled  stay|4settled  stay|4settled
deposit, refunded                stay|4settled        !amount_differs      !second_payment      stay|4settled         stay|4settled         stay|4settled         stay               stay               stay     stay           stay        stay
deposit, reversed                ask|4!revived|5late  !amount_differs      !second_payment      stay|4settled         stay|4settled         stay|4settled         stay               stay               stay     stay|4settled  stay|4settled  stay
deposit, an earlier attempt      !second_payment      !second_payment      !second_payment      stay|4settled         stay|4settled         stay|4settled         ask|4!revived      ask|4!revived      stay     stay           stay        stay
deposit, a page still open       !second_payment      !second_payment      !second_payment      stay|4settled         stay|4settled         stay|4settled         ask|4stay          ask|4stay          stay     stay           stay        stay
payout, nothing arrived          ask|4pay             ask|4clash           ask|4clash           stay|4settled         stay|4settled         stay|4settled         ask|4reopen        ask|4reopen        stay     stay|4settled  stay|4settled  stay|4settled
payout, submitted                pend+ask|3pay        pend+ask|3clash      pend+ask|3clash      fail                  fail                  ask|4fail             pend               doubt              doubt    stay           again       unsent
payout, provider pending         ask|3pay             ask|3clash           ask|3clash           ask|3fail             ask|3fail             ask|4fail             stay               stay               stay     !order_vanished  !order_vanished  stay
payout, unknown                  ask|3pay             ask|3clash           ask|3clash           fail                  fail                  ask|4fail             pend               stay               stay     stay           again       stay
payout, conflicted               stay|4settled|5pay   !amount_differs      !second_payment      ask|4!denied_after_success|5fail  ask|4!denied_after_success|5fail  ask|4!taken_back|5fail  stay       stay               stay     stay           stay        stay
payout, completed                stay|4settled        !amount_differs      !second_payment      ask|4return           ask|4return           ask|4return           stay               stay               stay     stay           stay        stay
payout, failed and released      ask|4late            ask|4clash           ask|4clash           stay|4settled         stay|4settled         stay|4settled         ask|4reopen        ask|4reopen        stay     stay|4settled  stay|4settled  stay|4settled
payout, cancelled or rejected    ask|4unapproved      ask|4!paid_unapproved  ask|4!paid_unapproved  stay|4settled     stay|4settled         stay|4settled         ask|4!revived      ask|4!revived      stay     stay|4settled  stay|4settled  stay|4settled
payout, returned                 ask|4!revived|5late  !amount_differs      !second_payment      stay|4settled         stay|4settled         stay|4settled         stay               stay               stay     stay           stay        stay
payout, an earlier attempt       !second_payment      !second_payment      !second_payment      stay|4settled         stay|4settled         stay|4settled         ask|4!revived      ask|4!revived      stay     stay           stay        stay
refund, nothing arrived          ask|4pay             ask|4clash           ask|4clash           stay|4settled         stay|4settled         stay|4settled         ask|4reopen        ask|4reopen        stay     stay|4settled  stay|4settled  stay|4settled
refund, submitted                pend+ask|3pay        pend+ask|3clash      pend+ask|3clash      fail                  fail                  ask|4fail             pend               doubt              doubt    stay           again       unsent
refund, provider pending         ask|3pay             ask|3clash           ask|3clash           ask|3fail             ask|3fail             ask|4fail             stay               stay               stay     !order_vanished  !order_vanished  stay
refund, unknown                  ask|3pay             ask|3clash           ask|3clash           fail                  fail                  ask|4fail             pend               stay               stay     stay           again       stay
refund, conflicted               stay|4settled|5pay   !amount_differs      !second_payment      ask|4!denied_after_success|5fail  ask|4!denied_after_success|5fail  ask|4!taken_back|5fail  stay       stay               stay     stay           stay        stay
refund, completed                stay|4settled        !amount_differs      !second_payment      ask|4undo             ask|4undo             ask|4undo             stay               stay               stay     stay           stay        stay
refund, failed and released      ask|4late            ask|4clash           ask|4clash           stay|4settled         stay|4settled         stay|4settled         ask|4!revived      ask|4!revived      stay     stay|4settled  stay|4settled  stay|4settled
refund, cancelled or rejected    ask|4unapproved      ask|4!paid_unapproved  ask|4!paid_unapproved  stay|4settled     stay|4settled         stay|4settled         ask|4!revived      ask|4!revived      stay     stay|4settled  stay|4settled  stay|4settled
refund, an earlier attempt       !second_payment      !second_payment      !second_payment      stay|4settled         stay|4settled         stay|4settled         ask|4!revived      ask|4!revived      stay     stay           stay        stay
"""
ARRIVALS = [words.strip() for words in COLUMNS.strip().split("  ") if words.strip()][1:]
ROWS = {line[:33].strip(): line[33:].split() for line in TABLE.strip().splitlines()}
EFFECTS = {
    "stay": Effect.STAY,
    "settled": Effect.SETTLE,
    "ask": Effect.ASK,
    "pend": Effect.PEND,
    "pend+ask": Effect.PEND_AND_ASK,
    "await": Effect.AWAIT_PLAYER,
    "doubt": Effect.DOUBT,
    "pay": Effect.PAY,
    "late": Effect.PAY_LATE,
    "unapproved": Effect.PAY_UNAPPROVED,
    "went_back": Effect.MONEY_WENT_BACK,
    "reverse": Effect.REVERSE,
    "clash": Effect.CONFLICT,
    "fail": Effect.FAIL,
    "end": Effect.END_ORDER,
    "unsent": Effect.NOTHING_LEFT,
    "again": Effect.SEND_AGAIN,
    "reopen": Effect.REOPEN,
    "return": Effect.RETURN,
    "undo": Effect.UNDO,
    "!amount_differs": Effect.CALL_AMOUNT,
    "!second_payment": Effect.CALL_SECOND,
    "!denied_after_success": Effect.CALL_DENIED,
    "!paid_after_cancel": Effect.CALL_CANCELLED,
    "!order_vanished": Effect.CALL_VANISHED,
    "!taken_back": Effect.CALL_TAKEN_BACK,
    "!revived": Effect.CALL_REVIVED,
    "!paid_unapproved": Effect.CALL_UNAPPROVED,
}
# Which state of which kind stands in which row; a payout's is its leg's, once something was sent.
STANDS = {
    Standing.DEPOSIT_UNSENT: "created checking risk_review limit_blocked risk_declined merchant_unreachable rejected_by_merchant",
    Standing.DEPOSIT_SUBMITTED: "submitted",
    Standing.DEPOSIT_AWAITING: "awaiting_player",
    Standing.DEPOSIT_PENDING: "provider_pending",
    Standing.DEPOSIT_UNKNOWN: "unknown",
    Standing.DEPOSIT_CONFLICTED: "conflicted",
    Standing.DEPOSIT_COMPLETED: "completed",
    Standing.DEPOSIT_FAILED: "declined provider_error expired",
    Standing.DEPOSIT_CANCELLED: "by_player by_operator",
    Standing.DEPOSIT_REFUNDED: "refunded charged_back",
    Standing.DEPOSIT_REVERSED: "reversed",
    Standing.PAYOUT_UNSENT: "requested cooling under_review awaiting_kyc awaiting_second_approval approved allocated partly_paid",
    Standing.PAYOUT_SUBMITTED: "submitted",
    Standing.PAYOUT_PENDING: "provider_pending",
    Standing.PAYOUT_UNKNOWN: "unknown",
    Standing.PAYOUT_CONFLICTED: "conflicted",
    Standing.PAYOUT_COMPLETED: "completed",
    Standing.PAYOUT_FAILED: "declined provider_error undeliverable",
    Standing.PAYOUT_CANCELLED: "by_player by_operator by_system rejected rejected_by_merchant",
    Standing.PAYOUT_RETURNED: "returned",
    Standing.REFUND_UNSENT: "requested awaiting_approval awaiting_second_approval approved",
    Standing.REFUND_SUBMITTED: "submitted",
    Standing.REFUND_PENDING: "provider_pending",
    Standing.REFUND_UNKNOWN: "unknown",
    Standing.REFUND_CONFLICTED: "conflicted",
    Standing.REFUND_COMPLETED: "completed",
    Standing.REFUND_FAILED: "declined provider_error",
    Standing.REFUND_CANCELLED: "by_operator by_system rejected",
}
PAID_TWICE = {
    ("!second_payment", standing)
    for standing in (
        *(Standing.DEPOSIT_SUPERSEDED, Standing.DEPOSIT_STILL_OPEN),
        *(Standing.PAYOUT_SUPERSEDED, Standing.REFUND_SUPERSEDED),
    )
}
UNSENT_DEPOSITS = set(STANDS[Standing.DEPOSIT_UNSENT].split())
SENT_AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
LATER = SENT_AT + timedelta(hours=1)
AMOUNT, OTHER = Money(150_000, "KZT"), Money(149_999, "KZT")


def kind_of(standing: Standing) -> Kind:
    return Kind(standing.value.partition(",")[0])


def facts(standing: Standing, state: str, *, reference: str | None = None) -> Facts:
    kind = kind_of(standing)
    sent_at = None if kind is Kind.DEPOSIT and state in UNSENT_DEPOSITS else SENT_AT
    return Facts(kind, SubStatus(state), AMOUNT, reference, sent_at)


def every_facts() -> Iterator[tuple[Standing, Facts]]:
    for standing, listed in STANDS.items():
        for state in listed.split():
            paid = standing.value.partition(", ")[2] in {
                "completed",
                "conflicted",
                "returned",
                "refunded",
                "reversed",
            }
            yield standing, facts(standing, state, reference="theirs-1" if paid else None)
    for standing in (Standing.DEPOSIT_SUPERSEDED, Standing.PAYOUT_SUPERSEDED, Standing.REFUND_SUPERSEDED):
        yield (
            standing,
            Facts(kind_of(standing), SubStatus.SUBMITTED, AMOUNT, None, SENT_AT, is_superseded=True),
        )
    left = Facts(Kind.DEPOSIT, SubStatus.COMPLETED, AMOUNT, "theirs-1", SENT_AT, is_superseded=True)
    yield Standing.DEPOSIT_STILL_OPEN, replace(left, is_still_open=True)


def test_the_tables_of_this_test_are_complete() -> None:
    assert set(ARRIVALS) == {arrival.value for arrival in Arrival}
    assert list(ROWS) == [standing.value for standing in Standing]
    assert {len(row) for row in ROWS.values()} == {len(Arrival)}
    assert set(EFFECTS.values()) == set(Effect)
    for kind in Kind:
        listed = [
            state for standing in STANDS if kind_of(standing) is kind for state in STANDS[standing].split()
        ]
        # "crediting" is walked through inside one transaction: nothing arrives upon it.
        assert sorted([*listed, *(["crediting"] if kind is Kind.DEPOSIT else [])]) == sorted(
            state.value for state in states.NEXT[kind]
        )


def wanted_of(standing: Standing, cell: str, source: Source) -> Effect:
    """The effect that this test's own table wants."""
    low, *higher = cell.split("|")
    if source is Source.HINT and low not in {"stay", "pend+ask"}:
        return Effect.CALL_SECOND if (low, standing) in PAID_TWICE else Effect.ASK
    for words in higher:
        if source >= int(words[0]):
            low = words[1:]
    return EFFECTS[low]


@pytest.mark.parametrize("standing", list(Standing))
def test_every_cell_from_every_rank_of_evidence(standing: Standing) -> None:
    for arrival, cell in zip(ARRIVALS, ROWS[standing.value], strict=True):
        for source in Source:
            found = matrix.cell_of(standing, Arrival(arrival)).of(source)
            assert found is wanted_of(standing, cell, source), f"{standing}, {arrival}, {source!r}"


@pytest.mark.parametrize(("standing", "known"), list(every_facts()))
def test_every_state_stands_in_its_row(standing: Standing, known: Facts) -> None:
    assert matrix.standing_of(known) is standing
    for arrival in Arrival:
        for source in Source:
            cell = ROWS[standing.value][ARRIVALS.index(arrival.value)]
            wanted = wanted_of(standing, cell, source)
            assert matrix.judge(known, arrival, source) is wanted


def test_of_an_unsent_deposit_there_is_no_evidence() -> None:
    declined = Facts(Kind.DEPOSIT, SubStatus.DECLINED, AMOUNT, None, None)
    assert matrix.standing_of(declined) is Standing.DEPOSIT_UNSENT


def every_evidence() -> Iterator[Evidence]:
    for verdict in Verdict:
        for source in Source:
            for amount in (AMOUNT, OTHER, Money(150_000, "USD"), None):
                for reference in ("theirs-1", "theirs-2", None):
                    yield Evidence(source, verdict, LATER, amount=amount, provider_reference=reference)


# Late success and an end taken back are the provider's own answer; a payout is only ever paid upon a notice or better.
STRONG = {Status.PENDING: 3, Status.PROCESSING: 3}


@pytest.mark.parametrize(("standing", "known"), list(every_facts()))
def test_no_word_moves_money_without_its_rank_or_leads_out_of_the_table(
    standing: Standing, known: Facts
) -> None:
    for evidence in every_evidence():
        step = rules.next_step(known, evidence)
        moved = step.credit or step.paid or step.came_back or step.taken
        if moved is not None:
            assert moved == AMOUNT
            strong = STRONG.get(states.STATUS_OF[known.sub_status], 4)
            outranked = {SubStatus.CONFLICTED, SubStatus.REVERSED}
            assert evidence.source >= (5 if known.sub_status in outranked else strong)
        if step.credit or step.paid:
            assert (evidence.verdict, evidence.amount) == (Verdict.PAID, AMOUNT)
            assert known.provider_reference in {None, evidence.provider_reference}
        # What a leg does, its payout does; from the queue it begins in `allocated`.
        source = known.sub_status
        if standing is Standing.PAYOUT_UNSENT:
            source = SubStatus.ALLOCATED
        if standing is Standing.REFUND_UNSENT:
            source = SubStatus.APPROVED
        if step.path != (source,):
            states.checked_path(known.kind, source, step.path)


@pytest.mark.parametrize("kind", list(Kind))
def test_out_of_a_conflict_leads_a_settlement_and_nothing_less(kind: Kind) -> None:
    """payments.md 1.3 and 1.4: credited or sent back, or nothing had come; never back into a doubt."""
    known = Facts(kind, SubStatus.CONFLICTED, AMOUNT, "theirs-1", SENT_AT)
    led: dict[Verdict, set[tuple[SubStatus, ...]]] = {}
    for evidence in every_evidence():
        step = rules.next_step(known, evidence)
        if evidence.source is not Source.SETTLEMENT:
            assert step.path == (), evidence
        elif step.path:
            led.setdefault(evidence.verdict, set()).add(step.path)
    is_deposit = kind is Kind.DEPOSIT
    paid = (SubStatus.CREDITING, SubStatus.COMPLETED) if is_deposit else (SubStatus.COMPLETED,)
    assert led == {
        Verdict.PAID: {paid},
        Verdict.DECLINED: {(SubStatus.DECLINED,)},
        Verdict.CANCELLED: {(SubStatus.DECLINED,)},
        Verdict.TAKEN_BACK: {(SubStatus.REFUNDED if is_deposit else SubStatus.DECLINED,)},
    }


@pytest.mark.parametrize("kind", [Kind.PAYOUT, Kind.REFUND])
@pytest.mark.parametrize("state", ["submitted", "provider_pending", "unknown"])
def test_no_doubt_ends_what_goes_out(kind: Kind, state: str) -> None:
    """payments.md 1.6, rule 5: unknown never fails by itself and never gives back."""
    known = Facts(kind, SubStatus(state), AMOUNT, None, SENT_AT)
    doubts = {Verdict.UNKNOWN, Verdict.NOT_FOUND, Verdict.PENDING, Verdict.NEEDS_PLAYER}
    for evidence in every_evidence():
        step = rules.next_step(known, evidence)
        if evidence.verdict in doubts:
            assert not step.is_over, evidence
            assert set(step.path) <= {SubStatus.PROVIDER_PENDING, SubStatus.UNKNOWN}
        if evidence.verdict is Verdict.NOT_SENT:
            # Only of the first sending is it known that nothing left: a repeat proves nothing about it.
            assert step.is_over == (state == "submitted" and evidence.source > Source.HINT)


def test_an_order_that_the_provider_does_not_know_is_sent_again_under_its_own_reference() -> None:
    evidence = Evidence(Source.STATUS_QUERY, Verdict.NOT_FOUND, LATER)
    for state, path in (("submitted", (SubStatus.UNKNOWN,)), ("unknown", ())):
        step = rules.next_step(Facts(Kind.PAYOUT, SubStatus(state), AMOUNT, None, SENT_AT), evidence)
        assert step == Step(path, send_again=True)
    soon = Evidence(Source.STATUS_QUERY, Verdict.NOT_FOUND, SENT_AT + timedelta(seconds=119))
    assert rules.next_step(Facts(Kind.PAYOUT, SubStatus.UNKNOWN, AMOUNT, None, SENT_AT), soon) == Step()


def test_late_success_of_a_payout_calls_people_and_of_a_deposit_does_not() -> None:
    paid = Evidence(Source.STATUS_QUERY, Verdict.PAID, LATER, amount=AMOUNT, provider_reference="theirs-1")
    deposit = rules.next_step(Facts(Kind.DEPOSIT, SubStatus.EXPIRED, AMOUNT, None, SENT_AT), paid)
    assert deposit == Step((SubStatus.CREDITING, SubStatus.COMPLETED), credit=AMOUNT, is_late=True)
    for state, why in (
        (SubStatus.DECLINED, Attention.PAID_AFTER_RELEASE),
        (SubStatus.REJECTED, Attention.PAID_UNAPPROVED),
    ):
        for kind in (Kind.PAYOUT, Kind.REFUND):
            step = rules.next_step(Facts(kind, state, AMOUNT, None, SENT_AT), paid)
            assert step == Step((SubStatus.COMPLETED,), paid=AMOUNT, is_late=True, attention=why)


def test_a_success_is_held_against_what_was_taken_once_something_was() -> None:
    known = Facts(Kind.DEPOSIT, SubStatus.COMPLETED, AMOUNT, "theirs-1", SENT_AT, captured=OTHER)
    for amount, step in ((OTHER, Step(settles=True)), (AMOUNT, Step(attention=Attention.AMOUNT_DIFFERS))):
        told = Evidence(
            Source.STATUS_QUERY, Verdict.PAID, LATER, amount=amount, provider_reference="theirs-1"
        )
        assert rules.next_step(known, told) == step


LEGS = """
planned planned                   allocated
submitted planned                 submitted
submitted provider_pending        provider_pending
provider_pending declined         provider_pending
unknown completed                 unknown
unknown conflicted                conflicted
completed planned                 partly_paid
completed submitted               partly_paid
returned provider_pending         partly_paid
completed completed               completed
completed declined                completed
completed returned                completed
returned returned                 returned
returned declined                 returned
declined declined                 declined
declined undeliverable            declined
undeliverable provider_error      undeliverable
provider_error provider_error     provider_error
"""


@pytest.mark.parametrize("line", LEGS.strip().splitlines())
def test_where_a_payout_stands_by_its_legs(line: str) -> None:
    one, other, wanted = line.split()
    for pair in ((one, other), (other, one)):
        assert rules.of_legs([LegState(state) for state in pair]) == wanted


@pytest.mark.parametrize("state", list(LegState))
def test_one_leg_is_the_payout(state: LegState) -> None:
    wanted = "allocated" if state is LegState.PLANNED else state.value
    assert rules.of_legs([state]).value == wanted

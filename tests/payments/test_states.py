"""Where a payment can stand and where it can go: every transition of every kind is allowed or forbidden.

The tables here are written from payments.md sections 1.2 and 1.3, not from the code.
"""
# ruff: noqa: E501  a table is read by its columns

from itertools import product

import pytest

from app.payments import states
from app.payments.rules import of_legs
from app.payments.states import DisputeState, Kind, LegState, SubStatus

# state: its public status, then every state it may go to. Nothing else is possible.
DEPOSIT = """
created               pending     checking limit_blocked risk_declined
checking              pending     submitted risk_review rejected_by_merchant merchant_unreachable provider_error
risk_review           pending     submitted by_operator risk_declined
awaiting_player       pending     submitted provider_pending unknown crediting conflicted declined provider_error by_player expired
submitted             processing  submitted awaiting_player provider_pending unknown crediting conflicted declined provider_error by_player
provider_pending      processing  submitted awaiting_player unknown crediting conflicted declined provider_error by_player
unknown               processing  awaiting_player provider_pending crediting conflicted declined provider_error by_player
conflicted            processing  crediting refunded declined
crediting             processing  completed
completed             completed   refunded charged_back reversed
declined              failed      crediting conflicted
provider_error        failed      crediting conflicted
limit_blocked         failed
risk_declined         failed
merchant_unreachable  failed
expired               failed      crediting conflicted
by_player             cancelled   crediting conflicted refunded
by_operator           cancelled   crediting conflicted refunded
rejected_by_merchant  cancelled
refunded              refunded    completed
charged_back          refunded    completed
reversed              refunded    crediting
"""
# A payout that is over can still turn out to be paid, or not to be over; a cancelled one only to be paid.
PAYOUT = """
requested                 pending     cooling under_review rejected_by_merchant rejected by_player by_operator by_system
cooling                   pending     under_review rejected by_player by_operator by_system
under_review              pending     awaiting_kyc awaiting_second_approval approved rejected by_player by_operator by_system
awaiting_kyc              pending     under_review rejected by_player by_operator by_system
awaiting_second_approval  pending     under_review approved rejected by_player by_operator by_system
approved                  pending     under_review allocated rejected by_player by_operator by_system
allocated                 processing  approved submitted provider_pending unknown conflicted partly_paid completed declined provider_error undeliverable rejected by_operator by_system
submitted                 processing  allocated provider_pending unknown conflicted partly_paid completed declined provider_error undeliverable
provider_pending          processing  allocated submitted unknown conflicted partly_paid completed declined provider_error undeliverable
unknown                   processing  allocated submitted provider_pending conflicted partly_paid completed declined provider_error undeliverable returned
conflicted                processing  allocated submitted provider_pending unknown partly_paid completed declined provider_error undeliverable returned
partly_paid               processing  provider_pending unknown conflicted completed returned
completed                 completed   returned
declined                  failed      unknown conflicted completed
provider_error            failed      unknown conflicted completed
undeliverable             failed      unknown conflicted completed
by_player                 cancelled   conflicted completed
by_operator               cancelled   conflicted completed
by_system                 cancelled   conflicted completed
rejected                  cancelled   conflicted completed
rejected_by_merchant      cancelled   conflicted completed
returned                  refunded    completed
"""
REFUND = """
requested                 pending     awaiting_approval approved rejected by_operator by_system
awaiting_approval         pending     awaiting_second_approval approved rejected by_operator by_system
awaiting_second_approval  pending     approved rejected by_operator by_system
approved                  pending     submitted unknown conflicted completed by_operator by_system
submitted                 processing  approved provider_pending unknown conflicted completed declined provider_error
provider_pending          processing  unknown conflicted completed declined provider_error
unknown                   processing  provider_pending conflicted completed declined provider_error
conflicted                processing  completed declined
completed                 completed   declined
declined                  failed      conflicted completed
provider_error            failed      conflicted completed
by_operator               cancelled   conflicted completed
by_system                 cancelled   conflicted completed
rejected                  cancelled   conflicted completed
"""
DISPUTE = """
early_warning    prevented opened expired
prevented        opened
opened           needs_response submitted won lost accepted expired
needs_response   submitted won lost accepted expired
submitted        won lost accepted expired
won              pre_arbitration
lost             pre_arbitration won
accepted          lost
expired          opened lost won
pre_arbitration  submitted won lost accepted expired
"""


def rows(table: str) -> dict[str, list[str]]:
    return {words[0]: words[1:] for words in map(str.split, table.strip().splitlines())}


TABLES = {Kind.DEPOSIT: rows(DEPOSIT), Kind.PAYOUT: rows(PAYOUT), Kind.REFUND: rows(REFUND)}
PAIRS = [(kind, state) for kind, table in TABLES.items() for state in table]


def test_the_tables_of_this_test_are_complete() -> None:
    assert TABLES.keys() == set(Kind)
    assert {state for table in TABLES.values() for state in table} == {state.value for state in SubStatus}
    for kind, table in TABLES.items():
        assert table.keys() == {state.value for state in states.NEXT[kind]}


@pytest.mark.parametrize(("kind", "source"), PAIRS)
def test_every_transition_is_allowed_or_forbidden(kind: Kind, source: str) -> None:
    status, *allowed = TABLES[kind][source]
    assert states.STATUS_OF[SubStatus(source)] == status
    for target in SubStatus:
        if target.value in allowed:
            assert states.checked_path(kind, SubStatus(source), (target,)) is target
        else:
            with pytest.raises(states.IllegalTransition, match=f"A {kind} cannot go from {source} to"):
                states.checked_path(kind, SubStatus(source), (target,))


@pytest.mark.parametrize("count", [2, 3])
def test_whatever_one_part_of_a_payout_does_the_payout_can_follow(count: int) -> None:
    """Out of what was told as paid leads nothing but that it came back."""
    ways = states.NEXT[Kind.PAYOUT]

    def alone(part: LegState) -> SubStatus:
        return SubStatus.ALLOCATED if part is LegState.PLANNED else SubStatus(part.value)

    for first, *others in product(LegState, repeat=count):
        before = of_legs([first, *others])
        for target in LegState:
            after = of_legs([target, *others])
            may_go = alone(target) in ways[alone(first)] and after is not before
            if may_go and before not in {SubStatus.COMPLETED, SubStatus.RETURNED}:
                assert after in ways[before], (first, others, target)


def test_a_state_of_another_kind_leads_nowhere() -> None:
    for kind in Kind:
        for state in set(SubStatus) - states.NEXT[kind].keys():
            with pytest.raises(states.IllegalTransition):
                states.checked_path(kind, state, (SubStatus.COMPLETED,))


def test_a_path_is_checked_step_by_step() -> None:
    path = (SubStatus.CREDITING, SubStatus.COMPLETED)
    deposit = Kind.DEPOSIT
    assert states.checked_path(deposit, SubStatus.SUBMITTED, path) is SubStatus.COMPLETED
    assert states.checked_path(deposit, SubStatus.DECLINED, ()) is SubStatus.DECLINED
    for wrong in ((SubStatus.COMPLETED,), (SubStatus.CREDITING, SubStatus.DECLINED)):
        with pytest.raises(states.IllegalTransition):
            states.checked_path(deposit, SubStatus.SUBMITTED, wrong)


def test_open_and_final_states() -> None:
    opened = {"pending", "processing"}
    final = {
        state for table in TABLES.values() for state, (status, *_) in table.items() if status not in opened
    }
    assert {state.value for state in states.FINAL} == final
    assert {state.value for state in states.OPEN} == {state.value for state in SubStatus} - final


def test_what_waits_for_a_decision_can_be_stopped_and_what_was_sent_cannot() -> None:
    stopped = {"rejected", "by_player", "by_operator", "by_system"}
    for state, (status, *targets) in TABLES[Kind.PAYOUT].items():
        if status == "pending":
            assert stopped <= set(targets), state
        elif state != "allocated":
            assert not stopped & set(targets), state


def test_nobody_is_paid_out_without_an_approval() -> None:
    """Without `approved` no way leads from a request to the provider, and late success is no way."""
    seen, ahead = set(), {"requested"}
    while ahead:
        state = ahead.pop()
        seen.add(state)
        status, *targets = TABLES[Kind.PAYOUT][state]
        if status in {"pending", "processing"}:
            ahead |= set(targets) - seen - {"approved"}
    assert not seen & {"allocated", "submitted", "provider_pending", "unknown", "completed"}


@pytest.mark.parametrize("source", list(DisputeState))
def test_every_transition_of_a_dispute(source: DisputeState) -> None:
    assert {state.value for state in states.DISPUTE_NEXT[source]} == set(rows(DISPUTE)[source.value])


def test_the_states_of_a_leg_are_those_of_a_payout() -> None:
    of_payouts = {state.value for state in states.NEXT[Kind.PAYOUT]}
    assert {state.value for state in LegState} - of_payouts == {"planned"}

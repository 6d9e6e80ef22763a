"""What can happen to a deposit: every transition, and every state with every piece of evidence.

The tables here are written from payments.md sections 1.2-1.5, not from the code.
"""
# ruff: noqa: E501  a table is read by its columns

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from app.kernel.money import Money
from app.payments import model, rules
from app.payments.model import Attention, DepositFacts, Evidence, Source, Step, SubStatus, Verdict

SENT_AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
SOON, LATER = SENT_AT + timedelta(seconds=119), SENT_AT + timedelta(seconds=120)
AMOUNT, OTHER_AMOUNT, OTHER_CURRENCY = Money(150_000, "KZT"), Money(149_999, "KZT"), Money(150_000, "USD")
PAID_AS = "theirs-1"

# state: its public status, then every state it may go to. Nothing else is possible.
TRANSITIONS = """
created               pending     checking limit_blocked risk_declined
checking              pending     submitted risk_review rejected_by_merchant merchant_unreachable
risk_review           pending     submitted by_operator risk_declined
awaiting_player       pending     provider_pending unknown crediting conflicted declined provider_error by_player expired
submitted             processing  awaiting_player provider_pending unknown crediting conflicted declined provider_error by_player
provider_pending      processing  awaiting_player unknown crediting conflicted declined provider_error by_player
unknown               processing  awaiting_player provider_pending crediting conflicted declined provider_error by_player
conflicted            processing  crediting refunded
crediting             processing  completed
completed             completed   refunded charged_back
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
"""
ROWS = {words[0]: words[1:] for words in map(str.split, TRANSITIONS.strip().splitlines())}

# What evidence does. Rows: states; columns: verdicts. `a|b` is before and after the provider's patience
# (120 s), or from a source that is not enough and one that is: for "paid" while open that is a notice, for everything
# after the end a status query. `>x` moves there; `ask` asks the provider, `settled`: it has answered; `!x` calls a person.
AT_PROVIDER = "needs_player      pending            paid             declined   cancelled   not_found               not_sent         unknown"
EVIDENCE = """
submitted         >awaiting_player  >provider_pending  >provider_pending+ask|credit  >declined     >by_player    stay|>provider_error  >provider_error  >unknown
awaiting_player   stay              >provider_pending  ask|credit                    >declined     >by_player    !order_vanished       >provider_error  stay
provider_pending  >awaiting_player  stay               ask|credit                    >declined     >by_player    !order_vanished       >provider_error  stay
unknown           >awaiting_player  >provider_pending  ask|credit                    >declined     >by_player    stay|>provider_error  >provider_error  stay
conflicted        stay              stay               stay|settled                  ask|!denied_after_success  ask|!denied_after_success  stay  stay   stay
completed         stay              stay               stay|settled                  ask|!denied_after_success  ask|!denied_after_success  stay  stay   stay
declined          stay|settled      stay|settled       ask|late                      stay|settled  stay|settled  stay|settled          stay|settled     stay
provider_error    stay|settled      stay|settled       ask|late                      stay|settled  stay|settled  stay|settled          stay|settled     stay
expired           stay|settled      stay|settled       ask|late                      stay|settled  stay|settled  stay|settled          stay|settled     stay
by_player         stay|settled      stay|settled       ask|!paid_after_cancel        stay|settled  stay|settled  stay|settled          stay|settled     stay
by_operator       stay|settled      stay|settled       ask|!paid_after_cancel        stay|settled  stay|settled  stay|settled          stay|settled     stay
"""
VERDICTS = AT_PROVIDER.split()
CELLS = {
    (words[0], verdict): cell
    for words in map(str.split, EVIDENCE.strip().splitlines())
    for verdict, cell in zip(VERDICTS, words[1:], strict=True)
}
# Of these the model knows nothing to do: no provider was asked, or it is over.
STILL = {
    *("created", "checking", "risk_review", "crediting", "limit_blocked", "risk_declined"),
    *("merchant_unreachable", "rejected_by_merchant", "refunded", "charged_back"),
}
OPEN_AT_PROVIDER = {"submitted", "awaiting_player", "provider_pending", "unknown"}
STEPS = {
    "stay": Step(),
    "settled": Step(settles=True),
    "ask": Step(ask_again=True),
    "credit": Step(path=(SubStatus.CREDITING, SubStatus.COMPLETED), credit=AMOUNT),
    "late": Step(path=(SubStatus.CREDITING, SubStatus.COMPLETED), credit=AMOUNT, is_late=True),
}


def step_of(cell: str) -> Step:
    if cell.startswith("!"):
        return Step(attention=Attention(cell[1:]))
    if cell.startswith(">"):
        target, _, ask = cell[1:].partition("+")
        return Step(path=(SubStatus(target),), ask_again=bool(ask))
    return STEPS[cell]


def deposit(state: str, *, reference: str | None = None) -> DepositFacts:
    sent_at = None if state in STILL - {"refunded", "charged_back"} else SENT_AT
    reference = reference or (PAID_AS if state in {"completed", "conflicted"} else None)
    return DepositFacts(SubStatus(state), AMOUNT, reference, sent_at)


def said(
    verdict: str,
    source: int,
    at: datetime = LATER,
    *,
    amount: Money | None = AMOUNT,
    reference: str = PAID_AS,
) -> Evidence:
    return Evidence(Source(source), Verdict(verdict), at, amount=amount, provider_reference=reference)


def expected(state: str, verdict: str, source: int, at: datetime) -> Step:
    if state in STILL:
        return Step()
    before, bar, after = CELLS[state, verdict].partition("|")
    if not bar:
        return step_of(before)
    if verdict == "not_found" and state in OPEN_AT_PROVIDER:
        return step_of(before if at < LATER else after)
    enough = Source.NOTICE if state in OPEN_AT_PROVIDER else Source.STATUS_QUERY
    return step_of(after if source >= enough else before)


def cells() -> Iterator[tuple[str, str, int]]:
    for state in SubStatus:
        for verdict in Verdict:
            for source in Source:
                yield state.value, verdict.value, source.value


def test_the_tables_of_this_test_are_complete() -> None:
    assert set(ROWS) == {state.value for state in SubStatus}
    assert set(VERDICTS) == {verdict.value for verdict in Verdict}
    assert {state for state, _ in CELLS} | STILL == set(ROWS)
    assert len(list(cells())) == 21 * 8 * 4


@pytest.mark.parametrize("source", ROWS)
def test_every_transition_is_allowed_or_forbidden(source: str) -> None:
    status, *allowed = ROWS[source]
    assert model.STATUS_OF[SubStatus(source)] == status
    for target in SubStatus:
        if target.value in allowed:
            assert model.checked_path(SubStatus(source), (target,)) is target
        else:
            with pytest.raises(model.IllegalTransition, match=f"from {source} to {target.value}"):
                model.checked_path(SubStatus(source), (target,))


def test_a_path_is_checked_step_by_step() -> None:
    path = (SubStatus.CREDITING, SubStatus.COMPLETED)
    assert model.checked_path(SubStatus.SUBMITTED, path) is SubStatus.COMPLETED
    assert model.checked_path(SubStatus.DECLINED, ()) is SubStatus.DECLINED
    with pytest.raises(model.IllegalTransition):
        model.checked_path(SubStatus.SUBMITTED, (SubStatus.COMPLETED,))
    with pytest.raises(model.IllegalTransition):
        model.checked_path(SubStatus.SUBMITTED, (SubStatus.CREDITING, SubStatus.DECLINED))


def test_open_and_final_states() -> None:
    final = {state for state, (status, *_) in ROWS.items() if status not in {"pending", "processing"}}
    assert {state.value for state in model.FINAL} == final
    assert {state.value for state in model.OPEN} == set(ROWS) - final


@pytest.mark.parametrize("at", [SOON, LATER], ids=["soon", "later"])
@pytest.mark.parametrize("state", [state.value for state in SubStatus])
def test_every_state_with_every_verdict_of_every_source(state: str, at: datetime) -> None:
    for verdict in Verdict:
        for source in Source:
            step = rules.next_step(deposit(state), said(verdict, source, at))
            assert step == expected(state, verdict, source, at), f"{state}, {verdict}, {source!r}"


@pytest.mark.parametrize(("state", "verdict", "source"), list(cells()))
def test_no_evidence_leads_out_of_the_table_or_credits_without_a_strong_source(
    state: str, verdict: str, source: int
) -> None:
    for amount in (AMOUNT, OTHER_AMOUNT, OTHER_CURRENCY, None):
        for reference in (PAID_AS, "theirs-2"):
            facts = deposit(state)
            step = rules.next_step(facts, said(verdict, source, amount=amount, reference=reference))
            model.checked_path(facts.sub_status, step.path)
            if step.credit is not None:
                assert verdict == "paid"
                assert source >= Source.NOTICE
                assert step.credit == amount == AMOUNT
                assert step.path == (SubStatus.CREDITING, SubStatus.COMPLETED)
                assert step.is_late == (state not in OPEN_AT_PROVIDER)


@pytest.mark.parametrize("amount", [OTHER_AMOUNT, OTHER_CURRENCY, None], ids=str)
@pytest.mark.parametrize("state", [*sorted(OPEN_AT_PROVIDER), "declined", "provider_error", "expired"])
def test_another_amount_or_currency_is_a_conflict(state: str, amount: Money | None) -> None:
    conflict = Step(path=(SubStatus.CONFLICTED,), attention=Attention.AMOUNT_DIFFERS)
    assert rules.next_step(deposit(state), said("paid", Source.STATUS_QUERY, amount=amount)) == conflict


@pytest.mark.parametrize("source", list(Source))
def test_a_second_payment_is_never_a_second_credit(source: Source) -> None:
    again = rules.next_step(deposit("completed"), said("paid", source, reference="theirs-2"))
    assert again == Step(attention=Attention.SECOND_PAYMENT)
    other = rules.next_step(deposit("completed"), said("paid", source, amount=OTHER_AMOUNT))
    assert other == Step(attention=Attention.AMOUNT_DIFFERS)


def test_a_deposit_that_was_never_sent_is_not_looked_for() -> None:
    facts = DepositFacts(SubStatus.DECLINED, AMOUNT, None, None)
    assert rules.next_step(facts, said("paid", Source.STATUS_QUERY)) == Step()


def test_patience_is_a_setting() -> None:
    for patience, step in ((119, step_of(">provider_error")), (119.5, Step())):
        found = rules.next_step(
            deposit("unknown"), said("not_found", Source.STATUS_QUERY, SOON), patience_seconds=patience
        )
        assert found == step


def test_our_own_cancel_at_the_end_of_the_players_time_is_an_expiry() -> None:
    for at, end in ((SOON, SubStatus.BY_PLAYER), (LATER, SubStatus.EXPIRED)):
        facts = DepositFacts(SubStatus.AWAITING_PLAYER, AMOUNT, None, SENT_AT, expires_at=LATER)
        assert rules.next_step(facts, said("cancelled", Source.STATUS_QUERY, at)) == Step(path=(end,))


def test_the_graver_reason_is_shown() -> None:
    reasons = list(Attention)
    for place, one in enumerate(reasons):
        assert model.graver(one, None) == model.graver(None, one) == one
        assert all(model.graver(one, other) is one for other in reasons[: place + 1])
    assert model.graver(None, None) is None

"""What evidence does to a deposit: every state with every piece of it, as a step.

The tables here are written from payments.md sections 1.2-1.5, not from the code.
"""
# ruff: noqa: E501  a table is read by its columns

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from app.kernel.money import Money
from app.payments import model, rules, states
from app.payments.model import Attention, Evidence, Facts, Source, Step, Verdict
from app.payments.states import Kind, SubStatus

SENT_AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
SOON, LATER = SENT_AT + timedelta(seconds=119), SENT_AT + timedelta(seconds=120)
AMOUNT, OTHER_AMOUNT, OTHER_CURRENCY = Money(150_000, "KZT"), Money(149_999, "KZT"), Money(150_000, "USD")
PAID_AS = "theirs-1"

# What evidence does. Rows: states; columns: verdicts. `a|b` is before and after the provider's patience
# (120 s), or from a source that is not enough and one that is: for "paid" and a no while open that is a notice, for
# everything after the end a status query. A hint makes us ask wherever something else would follow. A third is what a settlement does, or what two people with a proof do. `>x` moves there; `ask` asks the provider, `settled`: it has answered; `!x` calls a person.
AT_PROVIDER = "needs_player      pending            paid             declined   cancelled   not_found               not_sent         unknown  taken_back"
EVIDENCE = """
submitted         >awaiting_player  >provider_pending  >provider_pending+ask|credit  >declined     >by_player    stay|>provider_error  >provider_error  >unknown  ask|>declined
awaiting_player   stay              >provider_pending  ask|credit                    ask|>declined ask|>by_player !order_vanished       >provider_error  stay  ask|!taken_back
provider_pending  >awaiting_player  stay               ask|credit                    ask|>declined ask|>by_player !order_vanished       >provider_error  stay  ask|>declined
unknown           >awaiting_player  >provider_pending  ask|credit                    >declined     >by_player    stay|>provider_error  >provider_error  stay  ask|>declined
conflicted        stay              stay               stay|settled|credit           ask|!denied_after_success|>declined  ask|!denied_after_success|>declined  stay  stay  stay  ask|!taken_back|>refunded
completed         stay              stay               stay|settled                  ask|reverse   ask|reverse   stay  stay   stay  ask|!taken_back
declined          stay|settled      stay|settled       ask|late                      stay|settled  stay|settled  stay|settled          stay|settled     stay  stay|settled
provider_error    stay|settled      stay|settled       ask|late                      stay|settled  stay|settled  stay|settled          stay|settled     stay  stay|settled
expired           stay|settled      stay|settled       ask|late                      stay|settled  stay|settled  stay|settled          stay|settled     stay  stay|settled
by_player         stay|settled      stay|settled       ask|!paid_after_cancel        stay|settled  stay|settled  stay|settled          stay|settled     stay  stay|settled
by_operator       stay|settled      stay|settled       ask|!paid_after_cancel        stay|settled  stay|settled  stay|settled          stay|settled     stay  stay|settled
refunded          stay              stay               stay|settled                  stay|settled  stay|settled  stay                  stay             stay     stay|settled
charged_back      stay              stay               stay|settled                  stay|settled  stay|settled  stay                  stay             stay     stay|settled
reversed          stay              stay               ask|!revived|late             stay|settled  stay|settled  stay|settled             stay             stay     stay|settled
"""
DEPOSITS = [state.value for state in states.NEXT[Kind.DEPOSIT]]
VERDICTS = AT_PROVIDER.split()
CELLS = {
    (words[0], verdict): cell
    for words in map(str.split, EVIDENCE.strip().splitlines())
    for verdict, cell in zip(VERDICTS, words[1:], strict=True)
}
# Of these the model knows nothing to do: no provider was asked, or it is over.
STILL = {
    *("created", "checking", "risk_review", "crediting", "limit_blocked", "risk_declined"),
    *("merchant_unreachable", "rejected_by_merchant"),
}
OPEN_AT_PROVIDER = {"submitted", "awaiting_player", "provider_pending", "unknown"}
PAID_ONCE = {"completed", "conflicted", "refunded", "charged_back", "reversed"}
ASK = Step(ask_again=True)
STEPS = {
    "stay": Step(),
    "settled": Step(settles=True),
    "ask": Step(ask_again=True),
    "credit": Step(path=(SubStatus.CREDITING, SubStatus.COMPLETED), credit=AMOUNT),
    "reverse": Step(path=(SubStatus.REVERSED,), taken=AMOUNT, attention=Attention.DENIED_AFTER_SUCCESS),
    "late": Step(path=(SubStatus.CREDITING, SubStatus.COMPLETED), credit=AMOUNT, is_late=True),
}


def step_of(cell: str) -> Step:
    if cell.startswith("!"):
        return Step(attention=Attention(cell[1:]))
    if cell.startswith(">"):
        target, _, ask = cell[1:].partition("+")
        return Step(path=(SubStatus(target),), ask_again=bool(ask), is_over=target == "declined")
    return STEPS[cell]


def deposit(state: str, *, reference: str | None = None) -> Facts:
    sent_at = None if state in STILL else SENT_AT
    reference = reference or (PAID_AS if state in PAID_ONCE else None)
    return Facts(Kind.DEPOSIT, SubStatus(state), AMOUNT, reference, sent_at)


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
    step = proven(state, verdict, source, at)
    return ASK if source == Source.HINT and step != Step() and not step.ask_again else step


def proven(state: str, verdict: str, source: int, at: datetime) -> Step:
    if state in STILL:
        return Step()
    before, *more = CELLS[state, verdict].split("|")
    if not more:
        return step_of(before)
    if len(more) > 1 and source == Source.SETTLEMENT:
        return step_of(more[1])
    after = more[0]
    if verdict == "not_found" and state in OPEN_AT_PROVIDER:
        return step_of(before if at < LATER else after)
    is_open = state in OPEN_AT_PROVIDER and verdict in {"paid", "declined", "cancelled"}
    enough = Source.NOTICE if is_open else Source.STATUS_QUERY
    return step_of(after if source >= enough else before)


def cells() -> Iterator[tuple[str, str, int]]:
    for state in DEPOSITS:
        for verdict in Verdict:
            for source in Source:
                yield state, verdict.value, source.value


def test_the_tables_of_this_test_are_complete() -> None:
    assert set(VERDICTS) == {verdict.value for verdict in Verdict}
    assert {state for state, _ in CELLS} | STILL == set(DEPOSITS)
    assert len(list(cells())) == 22 * 9 * 5


@pytest.mark.parametrize("at", [SOON, LATER], ids=["soon", "later"])
@pytest.mark.parametrize("state", DEPOSITS)
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
            states.checked_path(Kind.DEPOSIT, facts.sub_status, step.path)
            if step.credit is not None:
                assert verdict == "paid"
                assert source >= Source.NOTICE
                assert step.credit == amount == AMOUNT
                assert step.path == (SubStatus.CREDITING, SubStatus.COMPLETED)
                # A conflict is not over: money that it ends with is not late.
                assert step.is_late == (state not in OPEN_AT_PROVIDER | {"conflicted"})


@pytest.mark.parametrize("amount", [OTHER_AMOUNT, OTHER_CURRENCY, None], ids=str)
@pytest.mark.parametrize("state", [*sorted(OPEN_AT_PROVIDER), "declined", "provider_error", "expired"])
def test_another_amount_or_currency_is_a_conflict(state: str, amount: Money | None) -> None:
    conflict = Step(path=(SubStatus.CONFLICTED,), attention=Attention.AMOUNT_DIFFERS)
    assert rules.next_step(deposit(state), said("paid", Source.STATUS_QUERY, amount=amount)) == conflict


def test_a_hint_of_a_second_payment_makes_us_ask() -> None:
    assert rules.next_step(deposit("completed"), said("paid", Source.HINT, reference="theirs-2")) == ASK


@pytest.mark.parametrize("source", [one for one in Source if one > Source.HINT])
def test_a_second_payment_is_never_a_second_credit(source: Source) -> None:
    again = rules.next_step(deposit("completed"), said("paid", source, reference="theirs-2"))
    assert again == Step(attention=Attention.SECOND_PAYMENT)
    other = rules.next_step(deposit("completed"), said("paid", source, amount=OTHER_AMOUNT))
    assert other == Step(attention=Attention.AMOUNT_DIFFERS)


def test_a_deposit_that_was_never_sent_is_not_looked_for() -> None:
    facts = Facts(Kind.DEPOSIT, SubStatus.DECLINED, AMOUNT, None, None)
    assert rules.next_step(facts, said("paid", Source.STATUS_QUERY)) == Step()


def test_not_found_counts_from_two_minutes_on() -> None:
    for seconds, step in ((119.9, Step()), (120, step_of(">provider_error"))):
        said_at = SENT_AT + timedelta(seconds=seconds)
        assert rules.next_step(deposit("unknown"), said("not_found", Source.STATUS_QUERY, said_at)) == step


def test_our_own_cancel_at_the_end_of_the_players_time_is_an_expiry() -> None:
    for at, end in ((SOON, SubStatus.BY_PLAYER), (LATER, SubStatus.EXPIRED)):
        facts = Facts(Kind.DEPOSIT, SubStatus.AWAITING_PLAYER, AMOUNT, None, SENT_AT, expires_at=LATER)
        assert rules.next_step(facts, said("cancelled", Source.STATUS_QUERY, at)) == Step(path=(end,))


def test_the_graver_reason_is_shown() -> None:
    reasons = list(Attention)
    for place, one in enumerate(reasons):
        assert model.graver(one, None) == model.graver(None, one) == one
        assert all(model.graver(one, other) is one for other in reasons[: place + 1])
    assert model.graver(None, None) is None

"""The decision, without a database."""

import dataclasses
import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.money import AmountOutOfRange, Money
from app.ledger import chart
from app.ledger.model import (
    MAX_BALANCE,
    AccountName,
    AccountState,
    Movement,
    Outcome,
    PostRequest,
    Purpose,
    Side,
    length_prefixed,
)
from app.ledger.rules import NO_SEAL, Book, UndeclaredMovement, next_head
from tests.ledger.examples import CASH, CLEARING, HELD, deposit, kzt, moving

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def book(*, cash: int = 0, held: int = 0, clearing: int = 0, moved_at: datetime = NOON) -> Book:
    accounts = {
        name: AccountState(number, balance, 0, name.purpose.floor_minor, moved_at)
        for number, (name, balance) in enumerate([(CASH, cash), (HELD, held), (CLEARING, clearing)], start=1)
    }
    return Book(accounts=accounts, seen={}, at=NOON)


def test_a_deposit_moves_both_sides_and_counts_both_accounts() -> None:
    desk = book(cash=50)
    answer = desk.post(deposit("a", 100))
    assert (answer.outcome, answer.duplicate) == (Outcome.POSTED, False)
    assert (answer.source_after, answer.target_after) == (kzt(-100), kzt(150))
    assert (answer.source_version, answer.target_version) == (1, 1)
    [row] = desk.transfers
    assert (row.stored.source, row.stored.target) == (Side(3, 1, -100), Side(1, 1, 150))


def test_a_refusal_is_a_row_without_entries_and_tells_the_balance() -> None:
    desk = book(cash=99)
    answer = desk.post(moving("a", chart.HOLD_PLACE, 100))
    assert answer.outcome is Outcome.INSUFFICIENT_FUNDS
    assert answer.source_after == kzt(99)
    assert str(answer.refusal) == "There is not enough money: 0.99 KZT is available."
    [row] = desk.transfers
    assert (row.stored.source, row.stored.target) == (Side(1, 0, 99), Side(2, 0, 0))


def test_the_floor_itself_can_be_reached() -> None:
    assert book(cash=100).post(moving("a", chart.HOLD_PLACE, 100)).is_posted


def test_a_refused_request_never_harms_its_neighbours_and_each_sees_what_is_left() -> None:
    desk = book(cash=100)
    outcomes = [desk.post(moving(key, chart.HOLD_PLACE, 60)).outcome for key in "abc"]
    assert outcomes == [Outcome.POSTED, Outcome.INSUFFICIENT_FUNDS, Outcome.INSUFFICIENT_FUNDS]
    assert desk.post(moving("d", chart.HOLD_PLACE, 40)).is_posted


def test_a_repeat_inside_the_batch_gets_the_first_answer_and_the_balance_of_now() -> None:
    desk = book()
    first = desk.post(deposit("a", 100))
    desk.post(deposit("b", 30))
    again = desk.post(deposit("a", 100))
    assert again.duplicate
    assert (again.transfer_id, again.target_after) == (first.transfer_id, kzt(100))
    assert again.target_now == kzt(130)
    assert len(desk.transfers) == 2


def test_a_repeated_refusal_stays_one_although_there_is_money_now() -> None:
    desk = book(cash=10)
    desk.post(moving("a", chart.HOLD_PLACE, 60))
    desk.post(deposit("b", 1000))
    again = desk.post(moving("a", chart.HOLD_PLACE, 60))
    assert (again.outcome, again.duplicate) == (Outcome.INSUFFICIENT_FUNDS, True)
    assert (again.source_after, again.source_now) == (kzt(10), kzt(1010))


@pytest.mark.parametrize(
    "change",
    [
        {"amount": kzt(101)},
        {"amount": Money(100, "USD")},
        {"target_owner": "plr_bert"},
        {"source_owner": "another provider"},
        {"because": "dep_2"},
        {"movement": chart.DEPOSIT_TO_MERCHANT},
    ],
)
def test_the_same_key_for_something_else_is_a_conflict_and_nothing_is_written(
    change: dict[str, object],
) -> None:
    desk = book()
    first = desk.post(deposit("a", 100))
    other = desk.post(dataclasses.replace(deposit("a", 100), **change))  # type: ignore[arg-type]  # one field
    assert (other.outcome, other.transfer_id) == (Outcome.CONFLICT, first.transfer_id)
    assert other.refusal is not None
    assert other.refusal.code == "key_reused"
    assert len(desk.transfers) == 1


def test_the_actor_is_not_part_of_the_content() -> None:
    desk = book()
    desk.post(deposit("a"))
    assert desk.post(dataclasses.replace(deposit("a"), actor="worker")).duplicate


@pytest.mark.parametrize(("cash", "clearing"), [(MAX_BALANCE - 99, 0), (0, -MAX_BALANCE + 99)])
def test_a_sum_beyond_bigint_is_refused_before_it_is_written(cash: int, clearing: int) -> None:
    desk = book(cash=cash, clearing=clearing)
    refused = desk.post(deposit("a", 100))
    assert refused.outcome is Outcome.BALANCE_LIMIT_REACHED
    assert (refused.source_after, refused.target_after) == (kzt(clearing), kzt(cash))
    assert desk.post(deposit("b", 99)).is_posted


def test_history_is_never_back_dated_when_a_clock_lags() -> None:
    ahead = NOON + timedelta(seconds=3)
    desk = book(moved_at=ahead)
    assert desk.post(deposit("a")).recorded_at == ahead
    assert book(moved_at=NOON - timedelta(days=1)).post(deposit("a")).recorded_at == NOON


def test_what_is_decided_gets_its_number_when_it_is_written() -> None:
    desk = book()
    answers = [desk.post(deposit(key)) for key in "aba"]
    assert [answer.transfer_id for answer in answers] == [-1, -2, -1]
    told = [desk.numbered(answer, [17, 20]) for answer in answers]
    assert [answer.transfer_id for answer in told] == [17, 20, 17]
    assert [desk.numbered(answer, []) for answer in told] == told


def test_an_undeclared_movement_is_a_fault_of_the_code() -> None:
    bonus = Movement("bonus.gift", Purpose.HOUSE_GAMING, Purpose.PLAYER_BONUS)
    forged = Movement("deposit.to_player", Purpose.HOUSE_GAMING, Purpose.PLAYER_CASH)
    for movement in (bonus, forged):
        desk = book()
        with pytest.raises(UndeclaredMovement):
            desk.post(moving("a", movement, 1))
        assert desk.transfers == []


@pytest.mark.parametrize("minor", [0, -1])
def test_a_transfer_moves_more_than_nothing(minor: int) -> None:
    with pytest.raises(ValueError, match="more than nothing"):
        deposit("a", minor)


def test_an_amount_above_the_limit_is_refused() -> None:
    assert deposit("a", 10**15).amount.minor == 10**15
    with pytest.raises(AmountOutOfRange):
        deposit("a", 10**15 + 1)


@pytest.mark.parametrize("key", ["", "k" * 129, "a\0b"])
def test_a_key_is_1_to_128_characters(key: str) -> None:
    with pytest.raises(ValueError, match="128 characters"):
        deposit(key)


def test_only_the_accounts_of_players_have_a_floor() -> None:
    floors = {purpose.value: purpose.floor_minor for purpose in Purpose}
    assert {name for name, floor in floors.items() if floor == 0} == {
        "player_cash",
        "player_bonus",
        "player_held",
    }
    assert set(floors.values()) == {0, None}


def test_a_debt_has_a_ceiling_instead_and_can_be_repaid_to_nothing() -> None:
    assert {purpose for purpose in Purpose if purpose.ceiling_minor is not None} == {Purpose.PLAYER_DEBT}
    debt = AccountName(CASH.owner, Purpose.PLAYER_DEBT, "KZT")
    desk = book(cash=500)
    desk.accounts = {**desk.accounts, debt: AccountState(4, 0, 0, debt.purpose.floor_minor, NOON)}
    assert desk.post(moving("owed", chart.PAYOUT.from_debt, 300, target=CLEARING.owner)).is_posted
    assert desk.post(moving("part", chart.DEBT_REPAY, 100)).target_after == kzt(-200)
    more = desk.post(moving("more", chart.DEBT_REPAY, 201))
    assert (more.outcome, more.target_after) == (Outcome.BALANCE_LIMIT_REACHED, kzt(-200))
    assert desk.post(moving("rest", chart.DEBT_REPAY, 200)).target_after == kzt(0)
    assert desk.post(moving("gift", chart.DEBT_REPAY, 1)).outcome is Outcome.BALANCE_LIMIT_REACHED


@pytest.mark.parametrize("outflow", [chart.PAYOUT, chart.REFUND, chart.CHARGEBACK, chart.REVERSAL])
def test_what_leaves_and_what_comes_back_are_the_same_ways(outflow: chart.Outflow) -> None:
    pairs = ("from_cash", "to_cash"), ("from_debt", "to_debt"), ("from_merchant", "to_merchant")
    for there, back in pairs:
        out, into = getattr(outflow, there), getattr(outflow, back)
        assert (out.source, out.target) == (into.target, into.source)
        assert out.target is Purpose.PROVIDER_CLEARING
        assert out.kind.rpartition(".")[2] == there
        assert into.kind.rpartition(".")[2] == back


words = st.text(st.sampled_from("a:1,|"), min_size=1, max_size=4)


@given(st.tuples(words, words, words), st.tuples(words, words, words))
def test_fingerprints_do_not_confuse_where_one_field_ends(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    def printed(parts: tuple[str, str, str]) -> bytes:
        return PostRequest("s", "k", chart.DEPOSIT_TO_PLAYER, kzt(1), *parts).fingerprint()

    assert (printed(one) == printed(other)) == (one == other)


rows = st.lists(
    st.lists(st.none() | st.integers() | st.text(max_size=3) | st.binary(max_size=3), max_size=3), max_size=3
)


@given(rows, rows)
def test_two_lists_of_rows_never_have_one_head(
    one: list[list[str | int | bytes | None]], other: list[list[str | int | bytes | None]]
) -> None:
    assert (next_head(NO_SEAL.head, one) == next_head(NO_SEAL.head, other)) == (one == other)


def test_a_head_depends_on_the_head_before() -> None:
    assert next_head(bytes(32), [["a"]]) != next_head(bytes(31) + b"\1", [["a"]])
    assert length_prefixed(b"ab") == b"\0\0\0\2ab"


wishes = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.sampled_from([chart.DEPOSIT_TO_PLAYER, chart.HOLD_PLACE, chart.HOLD_RELEASE, chart.HOLD_CAPTURE]),
        st.integers(1, 300),
    ),
    max_size=30,
)


@given(wishes)
def test_whatever_is_asked_the_book_stays_a_ledger(asked: list[tuple[str, Movement, int]]) -> None:
    desk = book()
    for key, movement, minor in asked:
        source = "sandbox" if movement.source is Purpose.PROVIDER_CLEARING else CASH.owner
        target = "sandbox" if movement.target is Purpose.PROVIDER_CLEARING else CASH.owner
        desk.post(moving(key, movement, minor, source, target))
    for account in desk.accounts.values():
        # What the ledger will write for this account: version, gain, and balance left.
        mine = [
            (side.version, gain, side.balance_minor)
            for item, stored in desk.transfers
            for side, gain in ((stored.source, -item.amount.minor), (stored.target, item.amount.minor))
            if stored.outcome is Outcome.POSTED and side.account_id == account.account_id
        ]
        assert [version for version, _, _ in mine] == list(range(1, account.version + 1))
        assert [left for _, _, left in mine] == list(itertools.accumulate(gain for _, gain, _ in mine))
        assert account.balance == sum(gain for _, gain, _ in mine)
        assert account.floor is None or all(left >= account.floor for _, _, left in mine)
    assert sum(account.balance for account in desk.accounts.values()) == 0
    keys = Counter(row.request.identity for row in desk.transfers)
    assert all(count == 1 for count in keys.values())


def test_one_account_on_both_sides_is_refused() -> None:
    back = Movement("x", Purpose.PLAYER_CASH, Purpose.PLAYER_CASH)
    with pytest.raises(ValueError, match="two accounts"):
        moving("a", back, 1)
    assert AccountName("x", Purpose.PLAYER_CASH, "KZT") == moving("a", back, 1, "x", "y").source_account

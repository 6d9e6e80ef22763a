"""The words of the ledger: which requests can be made, what makes two the same, what each answer says."""

import dataclasses
import hashlib
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.money import MAX_MINOR, AmountOutOfRange, Money
from app.ledger.model import (
    KEY_LENGTH,
    MAX_BALANCE,
    AccountName,
    BalanceLimitReached,
    Hold,
    InsufficientFunds,
    Key,
    KeyReused,
    Movement,
    Outcome,
    Posted,
    PostRequest,
    Purpose,
    TransferNumber,
    length_prefixed,
)

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PLAY = Movement("play", Purpose.PLAYER_CASH, Purpose.HOUSE_GAMING)
TEXTS = ("source", "key", "source_owner", "target_owner", "because", "actor")
REQUEST = PostRequest(
    source="payments",
    key="k1",
    movement=PLAY,
    amount=Money(250, "KZT"),
    source_owner="plr_anna",
    target_owner="site",
    because="bet_1",
    actor="worker",
)
HOLD = Hold(
    site_id=7,
    transfer_id=TransferNumber(1),
    player_id="plr_anna",
    amount=Money(100, "KZT"),
    captured=Money(30, "KZT"),
    released=Money(50, "KZT"),
    placed_at=NOON,
    expires_at=NOON + timedelta(hours=1),
)


def test_limits_are_those_of_the_database_and_the_protocol() -> None:
    assert MAX_BALANCE == 9_223_372_036_854_775_807
    assert KEY_LENGTH == 128


@pytest.mark.parametrize("purpose", Purpose)
def test_a_players_money_never_owes_and_the_rest_may(purpose: Purpose) -> None:
    of_players = {Purpose.PLAYER_CASH, Purpose.PLAYER_BONUS, Purpose.PLAYER_HELD}
    assert purpose.floor_minor == (0 if purpose in of_players else None)
    assert purpose.ceiling_minor == (0 if purpose is Purpose.PLAYER_DEBT else None)


@pytest.mark.parametrize("minor", [1, MAX_MINOR])
def test_an_amount_inside_the_limits(minor: int) -> None:
    assert dataclasses.replace(REQUEST, amount=Money(minor, "KZT")).amount.minor == minor


@pytest.mark.parametrize("minor", [0, -1])
def test_nothing_is_not_moved(minor: int) -> None:
    told = "^a transfer moves more than nothing; its direction is the movement's$"
    with pytest.raises(ValueError, match=told):
        dataclasses.replace(REQUEST, amount=Money(minor, "KZT"))


def test_an_amount_above_the_limit_is_refused() -> None:
    with pytest.raises(AmountOutOfRange):
        dataclasses.replace(REQUEST, amount=Money(MAX_MINOR + 1, "KZT"))


def _with(name: str, text: str) -> PostRequest:
    # The names are fields of a request; only the type checker cannot follow a name in a variable.
    return dataclasses.replace(REQUEST, **cast("dict[str, str]", {name: text}))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_has_from_one_to_128_characters(name: str) -> None:
    for text in ("x", "x" * 128):
        assert getattr(_with(name, text), name) == text


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("text", ["", "x" * 129, "a\0b", "\0"])
def test_a_text_that_is_none_too_long_or_unwritable(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"^'.*' is not 1 to 128 characters$"):
        _with(name, text)


def test_money_does_not_move_from_an_account_to_itself() -> None:
    round_about = Movement("round about", Purpose.PLAYER_CASH, Purpose.PLAYER_CASH)
    with pytest.raises(ValueError, match=r"^a transfer needs two accounts$"):
        dataclasses.replace(REQUEST, movement=round_about, target_owner="plr_anna")
    to_another = dataclasses.replace(REQUEST, movement=round_about, target_owner="plr_boris")
    assert to_another.target_account == AccountName("plr_boris", Purpose.PLAYER_CASH, "KZT")
    to_another_purpose = dataclasses.replace(REQUEST, target_owner="plr_anna")
    assert to_another_purpose.target_account == AccountName("plr_anna", Purpose.HOUSE_GAMING, "KZT")


def test_a_request_names_itself_and_its_accounts() -> None:
    assert REQUEST.identity == Key("payments", "k1")
    assert REQUEST.source_account == AccountName("plr_anna", Purpose.PLAYER_CASH, "KZT")
    assert REQUEST.target_account == AccountName("site", Purpose.HOUSE_GAMING, "KZT")
    assert PostRequest("payments", "k", PLAY, Money(1, "KZT"), "a", "b", "c").actor == "system"


def test_a_fingerprint_is_the_digest_of_the_content_with_lengths() -> None:
    # Stored with every transfer: another spelling would turn every old replay into a conflict.
    parts = [b"play", b"KZT", b"250", b"plr_anna", b"site", b"bet_1"]
    content = b"".join(bytes([0, 0, 0, len(part)]) + part for part in parts)
    assert REQUEST.fingerprint() == hashlib.blake2b(content, digest_size=32).digest()
    assert len(REQUEST.fingerprint()) == 32


@pytest.mark.parametrize(
    "change",
    [
        {"movement": Movement("other", Purpose.PLAYER_CASH, Purpose.HOUSE_GAMING)},
        {"amount": Money(251, "KZT")},
        {"amount": Money(250, "USD")},
        {"source_owner": "plr_boris"},
        {"target_owner": "other"},
        {"because": "bet_2"},
        {"source_owner": "plr_annas", "target_owner": "ite"},
    ],
)
def test_another_content_has_another_fingerprint(change: dict[str, object]) -> None:
    assert dataclasses.replace(REQUEST, **change).fingerprint() != REQUEST.fingerprint()  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"key": "k2"}, {"source": "wallet"}, {"actor": "somebody"}])
def test_who_asks_by_which_key_is_not_content(change: dict[str, str]) -> None:
    assert dataclasses.replace(REQUEST, **change).fingerprint() == REQUEST.fingerprint()  # type: ignore[arg-type]


def test_what_remains_of_a_hold_is_neither_captured_nor_released() -> None:
    assert HOLD.remaining == Money(20, "KZT")
    assert not HOLD.duplicate


@pytest.mark.parametrize(
    ("seconds", "expired"), [(-3600, False), (3599, False), (3600, True), (3601, True), (10**9, True)]
)
def test_a_hold_expires_at_its_instant(seconds: int, expired: bool) -> None:
    assert HOLD.is_expired(NOON + timedelta(seconds=seconds)) is expired


def test_a_hold_without_an_expiry_never_expires() -> None:
    assert not dataclasses.replace(HOLD, expires_at=None).is_expired(NOON + timedelta(days=10_000))


def answer(outcome: Outcome) -> Posted:
    return Posted(
        request=REQUEST,
        transfer_id=TransferNumber(1),
        outcome=outcome,
        duplicate=False,
        source_version=1,
        target_version=2,
        source_after=Money(99, "KZT"),
        target_after=Money(500, "KZT"),
        source_now=Money(77, "KZT"),
        target_now=Money(600, "KZT"),
        recorded_at=NOON,
    )


@pytest.mark.parametrize("outcome", Outcome)
def test_only_what_is_posted_is_posted(outcome: Outcome) -> None:
    assert answer(outcome).is_posted is (outcome is Outcome.POSTED)


def test_each_answer_has_its_sentence() -> None:
    assert answer(Outcome.POSTED).refusal is None
    poor = answer(Outcome.INSUFFICIENT_FUNDS).refusal
    assert isinstance(poor, InsufficientFunds)
    # What there was when it was decided, not what there is now.
    assert poor.fields == {"balance": Money(99, "KZT"), "needed": Money(250, "KZT")}
    assert isinstance(answer(Outcome.BALANCE_LIMIT_REACHED).refusal, BalanceLimitReached)
    reused = answer(Outcome.CONFLICT).refusal
    assert isinstance(reused, KeyReused)
    assert (reused.fields, reused.param) == ({"key": "k1"}, "key")


@given(st.lists(st.binary(max_size=5), max_size=4), st.lists(st.binary(max_size=5), max_size=4))
def test_lengths_keep_parts_apart(one: list[bytes], other: list[bytes]) -> None:
    written, also = (b"".join(map(length_prefixed, parts)) for parts in (one, other))
    assert (written == also) == (one == other)


def test_a_length_is_four_bytes_the_largest_first() -> None:
    assert length_prefixed(b"") == b"\0\0\0\0"
    assert length_prefixed(b"ab") == b"\0\0\0\2ab"
    assert length_prefixed(b"x" * 258)[:4] == b"\0\0\1\2"

"""After which evidence another account may be asked, whatever stands: every kind of outcome in one table."""

from datetime import UTC, datetime, timedelta

import pytest

from app.kernel.money import Money
from app.payments.model import Evidence, Facts, Source, Verdict
from app.payments.rules import why_last
from app.payments.states import Kind, SubStatus

AMOUNT = Money(150_000, "KZT")
AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
MAY = ""
# Where the attempt stood (of a payout: its leg) and what the provider said; why nothing follows, or "may".
TABLE = """
submitted         declined, about the provider     | may
awaiting_player   declined, about the provider     | may
provider_pending  declined, about the provider     | may
unknown           declined, about the provider     | for a while nobody knew of it
conflicted        declined, about the provider     | it was in conflict
submitted         declined                         | the decline is final
provider_pending  declined                         | the decline is final
submitted         declined, cannot be delivered    | the destination cannot receive
submitted         not_sent                         | may
awaiting_player   not_sent                         | something was heard of it all the same
provider_pending  not_sent                         | something was heard of it all the same
unknown           not_sent                         | something was heard of it all the same
submitted         cancelled                        | it ended without a decline
awaiting_player   cancelled, about the provider    | it ended without a decline
submitted         taken_back, about the provider   | it ended without a decline
submitted         not_found                        | it ended without a decline
submitted         unknown, about the provider      | it ended without a decline
submitted         pending, about the provider      | it ended without a decline
submitted         needs_player                     | it ended without a decline
submitted         paid                             | it ended without a decline
"""


def known(kind: Kind, state: str, **more: object) -> Facts:
    return Facts(kind, SubStatus(state), AMOUNT, None, AT - timedelta(minutes=5), **more)  # type: ignore[arg-type]


def said(words: str, source: Source = Source.NOTICE, at: datetime = AT) -> Evidence:
    verdict, _, about = words.partition(", ")
    return Evidence(
        source,
        Verdict(verdict),
        at,
        retryable=about == "about the provider",
        undeliverable=about == "cannot be delivered",
    )


@pytest.mark.parametrize("source", list(Source))
@pytest.mark.parametrize("kind", [Kind.DEPOSIT, Kind.PAYOUT])
@pytest.mark.parametrize("line", TABLE.strip().splitlines())
def test_what_may_be_followed_by_another_account(line: str, kind: Kind, source: Source) -> None:
    left, wanted = (part.strip() for part in line.split("|"))
    state, words = left.split(maxsplit=1)
    assert why_last(known(kind, state), said(words, source)) == ("" if wanted == "may" else wanted)


def test_every_verdict_is_in_the_table() -> None:
    listed = {
        line.split("|")[0].split(maxsplit=1)[1].strip().partition(",")[0]
        for line in TABLE.strip().splitlines()
    }
    assert listed == {verdict.value for verdict in Verdict}


def test_a_refund_goes_back_by_the_account_that_took_the_deposit() -> None:
    for words in ("declined, about the provider", "not_sent"):
        assert why_last(known(Kind.REFUND, "submitted"), said(words))


def test_the_players_time_bounds_it() -> None:
    for before, why in ((timedelta(seconds=1), MAY), (timedelta(0), "the player's time is over")):
        facts = known(Kind.DEPOSIT, "awaiting_player", expires_at=AT + before)
        assert why_last(facts, said("declined, about the provider")) == why

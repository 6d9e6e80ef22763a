"""A credited deposit that the provider denies afterwards is reversed: a state of its own."""

from collections.abc import Sequence

from alembic import op

revision = "reversals"
down_revision = "dispute_sums"

_STATES_BEFORE = (
    *("created", "checking", "risk_review", "awaiting_player", "requested", "cooling", "under_review"),
    *("awaiting_kyc", "awaiting_approval", "awaiting_second_approval", "approved", "allocated", "submitted"),
    *("provider_pending", "unknown", "conflicted", "crediting", "partly_paid", "completed", "declined"),
    *("provider_error", "undeliverable", "limit_blocked", "risk_declined", "merchant_unreachable", "expired"),
    *("by_player", "by_operator", "by_system", "rejected", "rejected_by_merchant", "refunded"),
    *("charged_back", "returned"),
)
_STATES = (*_STATES_BEFORE[:-1], "reversed", "returned")
_DEPOSITS_BEFORE = (
    *("awaiting_player", "by_operator", "by_player", "charged_back", "checking", "completed", "conflicted"),
    *("created", "crediting", "declined", "expired", "limit_blocked", "merchant_unreachable"),
    *("provider_error", "provider_pending", "refunded", "rejected_by_merchant", "risk_declined"),
    *("risk_review", "submitted", "unknown"),
)
_DEPOSITS = tuple(sorted((*_DEPOSITS_BEFORE, "reversed")))
_PAYOUTS = (
    *("allocated", "approved", "awaiting_kyc", "awaiting_second_approval", "by_operator", "by_player"),
    *("by_system", "completed", "conflicted", "cooling", "declined", "partly_paid", "provider_error"),
    *("provider_pending", "rejected", "rejected_by_merchant", "requested", "returned", "submitted"),
    *("undeliverable", "under_review", "unknown"),
)
_REFUNDS = (
    *("approved", "awaiting_approval", "awaiting_second_approval", "by_operator", "by_system", "completed"),
    *("conflicted", "declined", "provider_error", "provider_pending", "rejected", "requested"),
    *("submitted", "unknown"),
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    _listed(_STATES, _DEPOSITS)


def downgrade() -> None:
    """Refused by the database where a deposit was reversed: its history is not rewritten."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    _listed(_STATES_BEFORE, _DEPOSITS_BEFORE)


def _listed(states: Sequence[str], of_deposits: Sequence[str]) -> None:
    """The CHECKs that list the states, anew."""
    for table in ("payment", "payment_event"):
        _checked(table, "sub_status", f"sub_status IN ({_quoted(states)})")
    kinds = {"deposit": of_deposits, "payout": _PAYOUTS, "refund": _REFUNDS}
    own = (f"kind = '{kind}' AND sub_status IN ({_quoted(words)})" for kind, words in kinds.items())
    _checked("payment", "sub_status_of_its_kind", " OR ".join(own))


def _checked(table: str, about: str, rule: str) -> None:
    name = op.f(f"ck_{table}_{about}")
    op.drop_constraint(name, table, type_="check")
    op.create_check_constraint(name, table, rule)


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)

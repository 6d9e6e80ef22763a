"""Callouts about withdrawals: the merchant may answer that there are not enough funds."""

from alembic import op

revision = "callouts"
down_revision = "wallet"

_BEFORE = "state IN ('sent', 'accepted', 'refused', 'unknown')"
_AFTER = "state IN ('sent', 'accepted', 'refused', 'no_funds', 'unknown')"


def upgrade() -> None:
    _replace(_AFTER)


def downgrade() -> None:
    # What the older software knows of a refusal for want of funds: that it is one.
    op.execute("UPDATE callout SET state = 'refused' WHERE state = 'no_funds'")
    _replace(_BEFORE)


def _replace(check: str) -> None:
    op.drop_constraint(op.f("ck_callout_state"), "callout", type_="check")
    op.create_check_constraint(op.f("ck_callout_state"), "callout", check)

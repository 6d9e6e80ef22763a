"""How payments are kept: the payment, its legs, each try at a provider, and its events, never edited."""

from collections.abc import Iterable

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.payments.model import Attention, Decided
from app.payments.states import NEXT, OPEN, Kind, LegState, Status, SubStatus
from app.plumbing.database import checked, metadata
from app.providers import State

__all__ = ["attempts", "legs", "payment_events", "payment_numbers", "payments", "policies"]

# The protocol's numeric transaction_id; it starts high so that all have nine digits.
payment_numbers = Sequence("payment_number", start=100_000_001, metadata=metadata)


def _flag(name: str, comment: str | None = None) -> Column[bool]:
    """A column that is false until somebody says otherwise."""
    return Column(name, Boolean, nullable=False, server_default="false", comment=comment)


def _sum(name: str, comment: str | None = None) -> Column[int]:
    """A sum in minor units of the row's currency, nothing at first."""
    return Column(name, BigInteger, nullable=False, server_default="0", comment=comment)


def _listed(states: Iterable[SubStatus]) -> str:
    return ", ".join(f"'{state.value}'" for state in sorted(states))


_OF_ITS_KIND = " OR ".join(f"kind = '{of}' AND sub_status IN ({_listed(its)})" for of, its in NEXT.items())

payments = Table(
    "payment",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("payment_id", Text, primary_key=True),
    Column("number", BigInteger, nullable=False, comment="the protocol's transaction_id"),
    Column("kind", Text, nullable=False),
    Column("player_id", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("account", Text, nullable=False, comment="the provider account"),
    Column("status", Text, nullable=False),
    Column("sub_status", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("external_id", Text, nullable=False, server_default="", comment="the merchant's order number"),
    Column("provider_reference", Text, comment="the provider's number of what was paid"),
    Column(
        "reason_code", Text, nullable=False, server_default="", comment="the provider's own word, for staff"
    ),
    Column(
        "reason", Text, nullable=False, server_default="", comment="the merchant's or provider's sentence"
    ),
    _flag("is_late"),
    Column("attention", Text, comment="why a person should look"),
    _flag("is_questioned", "a provider is asked about a try that is over"),
    Column("continue_url", Text, comment="the provider's page, while the player is awaited"),
    Column("next_account", Text, comment="the account that a deposit is to be tried at next"),
    Column(
        "present_attempt", Text, comment="the attempt that counts now; of a deposit: once tried elsewhere"
    ),
    Column("return_url", Text, comment="for its next attempt; only while there may be one: it has a token"),
    Column("view_hash", LargeBinary, comment="SHA-256 of the token that shows this one payment"),
    Column("parent_id", Text, comment="the deposit that a refund gives back"),
    Column("purse", Text, nullable=False, server_default="", comment="where it goes, as people may see it"),
    _sum("captured_minor", "what really went through"),
    _sum("refund_pending_minor"),
    Column(
        "refunded_minor",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="refunded; of a payout: returned",
    ),
    _sum("charged_back_minor"),
    Column("hold_id", BigInteger, comment="the ledger's hold of the player's money"),
    Column("instrument_id", Text, comment="with what a deposit was paid, once known"),
    Column("order_id", Text, comment="the protocol's 30 digits, from the merchant's initiation"),
    Column("reason_player", Text, nullable=False, server_default="", comment="what the player may read"),
    Column("approved_hash", LargeBinary, comment="SHA-256 of what was approved; sending compares"),
    Column("customer_ip", Text, nullable=False),
    Column("source_type", Integer, nullable=False),
    Column("language", Text, nullable=False),
    Column("sequence", Integer, nullable=False, server_default="0", comment="of the last event"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("sent_at", DateTime(timezone=True), comment="when the provider was asked, the last one"),
    Column("approved_at", DateTime(timezone=True)),
    Column("initiated_at", DateTime(timezone=True), comment="when the merchant initiated the payout"),
    Column(
        "expires_at",
        DateTime(timezone=True),
        comment="while the player is awaited, or may cancel; of an approval",
    ),
    Column("completed_at", DateTime(timezone=True), comment="when a final status was reached"),
    Column("ask_at", DateTime(timezone=True), comment="when to ask the provider next, or to carry on"),
    Column("asked", Integer, nullable=False, server_default="0"),
    Column("looked_at", DateTime(timezone=True), comment="when somebody's look last made us ask"),
    UniqueConstraint("site_id", "number"),
    UniqueConstraint("site_id", "view_hash"),
    UniqueConstraint("site_id", "order_id"),
    ForeignKeyConstraint(["site_id", "player_id"], ["player.site_id", "player.player_id"]),
    ForeignKeyConstraint(["site_id", "account"], ["provider_account.site_id", "provider_account.account"]),
    ForeignKeyConstraint(["site_id", "parent_id"], ["payment.site_id", "payment.payment_id"]),
    ForeignKeyConstraint(["site_id", "hold_id"], ["hold.site_id", "hold.transfer_id"]),
    ForeignKeyConstraint(["site_id", "instrument_id"], ["instrument.site_id", "instrument.instrument_id"]),
    checked("kind", Kind),
    checked("status", Status),
    checked("sub_status", SubStatus),
    checked("attention", Attention),
    CheckConstraint(_OF_ITS_KIND, name="sub_status_of_its_kind"),
    CheckConstraint("(kind = 'refund') = (parent_id IS NOT NULL)", name="parent_of_a_refund"),
    # The last word on "never more goes back than came".
    CheckConstraint(
        "refund_pending_minor >= 0 AND refunded_minor >= 0 AND charged_back_minor >= 0 "
        "AND refund_pending_minor + refunded_minor + charged_back_minor <= captured_minor",
        name="never_more_back",
    ),
    CheckConstraint("order_id ~ '^[0-9]{30}$'", name="order_id"),
    CheckConstraint("0 < amount_minor AND amount_minor <= 1000000000000000", name="amount"),
    Index(None, "site_id", "player_id", "created_at"),
    Index("ix_payment_listed", "site_id", "created_at", "payment_id"),
    Index(None, "site_id", "account"),
    Index(None, "site_id", "external_id"),
    Index(None, "site_id", "parent_id"),
    Index(None, "site_id", "hold_id"),
    Index(None, "site_id", "instrument_id"),
    # A merchant's order is paid once: the last word, should two deposits of one order be collected at once.
    Index(
        "uq_payment_paid_order",
        "site_id",
        "kind",
        "external_id",
        unique=True,
        postgresql_where=text("external_id <> '' AND status = 'completed' AND kind <> 'refund'"),
    ),
    # A withdrawal that the merchant accepted has its order number to itself for ever: initiation looks it up.
    Index(
        "uq_payment_payout_order",
        "site_id",
        "external_id",
        unique=True,
        postgresql_where=text("external_id <> '' AND kind = 'payout'"),
    ),
    Index("ix_payment_ask_at", "ask_at", postgresql_where=text("ask_at IS NOT NULL")),
    Index("ix_payment_open", "changed_at", postgresql_where=text(f"sub_status IN ({_listed(OPEN)})")),
    # A withdrawal's numbers are its legs', maybe at several accounts; its row shows only one of them.
    Index(
        "uq_payment_provider_reference",
        "site_id",
        "account",
        "kind",
        "provider_reference",
        unique=True,
        postgresql_where=text("kind <> 'payout'"),
    ),
)

attempts = Table(
    "attempt",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column(
        "attempt_id",
        Text,
        primary_key=True,
        comment="our reference at the provider, the same on every repeat",
    ),
    Column("payment_id", Text, nullable=False),
    Column("leg", Integer, comment="of a payout"),
    Column("number", Integer, nullable=False),
    Column("account", Text, nullable=False),
    _flag("is_over", "declined, or nothing arrived"),
    Column("state", Text, comment="what the provider last said; empty = sending, nobody knows"),
    Column("provider_reference", Text),
    Column("told_minor", BigInteger, comment="the sum that it told last"),
    Column("told_currency", Text),
    _flag("said_paid", "its provider has said that money moved, whatever it says now"),
    _flag("was_spoken_of", "its provider has told of it, in a word that we do not know"),
    _flag("came_back_short", "of what went out by it a part came back"),
    Column("decided", Text, comment="what two people with a proof have said became of it"),
    _flag("is_questioned", "it is over, and its provider is asked about it until it answers"),
    Column("error_code", Text, nullable=False, server_default=""),
    Column("error", Text, nullable=False, server_default=""),
    Column("answer", JSONB, comment="masked"),
    Column("sent_at", DateTime(timezone=True), nullable=False),
    Column("answered_at", DateTime(timezone=True)),
    UniqueConstraint("site_id", "payment_id", "number"),
    ForeignKeyConstraint(["site_id", "payment_id"], ["payment.site_id", "payment.payment_id"]),
    ForeignKeyConstraint(["site_id", "account"], ["provider_account.site_id", "provider_account.account"]),
    ForeignKeyConstraint(
        ["site_id", "payment_id", "leg"], ["payout_leg.site_id", "payout_leg.payment_id", "payout_leg.leg"]
    ),
    Index(None, "site_id", "account"),
    Index(None, "site_id", "payment_id", "leg"),
    # The database's word on double payments: a second try only after the first is over for certain.
    Index(
        "uq_attempt_live",
        "site_id",
        "payment_id",
        text("coalesce(leg, 0)"),
        unique=True,
        postgresql_where=text("NOT is_over"),
    ),
    checked("state", State),
    checked("decided", Decided),
)

payment_events = Table(
    "payment_event",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("payment_id", Text, primary_key=True),
    Column("sequence", Integer, primary_key=True, comment="gap-free per payment"),
    Column("type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("sub_status", Text, nullable=False),
    Column("source", Text, nullable=False, comment="who said so: player, merchant, provider's notice, ..."),
    Column("amount_minor", BigInteger),
    Column("currency", Text),
    Column("provider_reference", Text),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    Column("occurred_at", DateTime(timezone=True), comment="the provider's own time"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(["site_id", "payment_id"], ["payment.site_id", "payment.payment_id"]),
    checked("status", Status),
    checked("sub_status", SubStatus),
)

legs = Table(
    "payout_leg",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("payment_id", Text, primary_key=True),
    Column("leg", Integer, primary_key=True, autoincrement=False, comment="1, 2, ... of its payout"),
    Column("state", Text, nullable=False, server_default=LegState.PLANNED),
    Column("method", Text, nullable=False),
    Column("account", Text, nullable=False, comment="the provider account"),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    _sum("captured_minor", "what really went, once paid"),
    Column("present_attempt", Text, comment="the attempt that counts now, the last to move it"),
    Column("instrument_id", Text, comment="where it goes, once kept"),
    Column("destination", JSONB, nullable=False, comment="what the provider needs; of a card its token only"),
    Column("masked", Text, nullable=False, comment="what people may see of the destination"),
    Column("fingerprint", Text, nullable=False, comment="the same for the same destination"),
    Column("why", JSONB, nullable=False, server_default="{}", comment="why so much goes there: closed loop"),
    Column("provider_reference", Text, comment="the provider's number, once paid"),
    _flag("is_released", "its money was given back"),
    Column("hold_id", BigInteger, comment="of a leg that was opened again"),
    Column("sent_at", DateTime(timezone=True)),
    Column("paid_at", DateTime(timezone=True)),
    ForeignKeyConstraint(["site_id", "payment_id"], ["payment.site_id", "payment.payment_id"]),
    ForeignKeyConstraint(["site_id", "account"], ["provider_account.site_id", "provider_account.account"]),
    ForeignKeyConstraint(["site_id", "hold_id"], ["hold.site_id", "hold.transfer_id"]),
    Index(None, "site_id", "account", "provider_reference", unique=True),
    Index(None, "site_id", "hold_id"),
    Index(None, "site_id", "fingerprint"),
    checked("state", LegState),
    CheckConstraint("0 < amount_minor AND amount_minor <= 1000000000000000", name="amount"),
)

policies = Table(
    "payout_policy",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("auto_below_minor", BigInteger, comment="strictly below: no person; NULL: always one"),
    Column("second_above_minor", BigInteger, comment="strictly above: two people; NULL: one is enough"),
    Column("cooling_seconds", Integer, nullable=False),
    Column("player_may_cancel", Boolean, nullable=False),
    Column("closed_loop", Boolean, nullable=False),
    Column("needs_initiation", Boolean, nullable=False),
    Column("allow_without_request", Boolean, nullable=False),
    Column("approval_hours", Integer, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(["site_id"], ["site.site_id"]),
    CheckConstraint(
        "auto_below_minor >= 0 AND second_above_minor >= 0 AND cooling_seconds >= 0 AND approval_hours > 0",
        name="figures",
    ),
)

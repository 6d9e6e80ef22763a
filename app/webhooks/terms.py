"""The events that exist, and how an endpoint chooses among them. Pure.

Source: payments.md section 1.7. The catalogue is open: a receiver treats a type that it does not know as
news that it may ignore.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from app.kernel.errors import Refusal

__all__ = ["ENDPOINT_DISABLED", "EVENT_TYPES", "TEST", "UnknownEventType", "checked_types", "is_wanted"]

ENDPOINT_DISABLED: Final = "webhook.endpoint_disabled"
TEST: Final = "webhook.test"

# One sentence a type; docs/webhooks.md shows them.
EVENT_TYPES: Final[Mapping[str, str]] = {
    "deposit.created": "A player began to pay in.",
    "deposit.pending": "The deposit waits before it goes to the provider. Not sent yet.",
    "deposit.action_required": "The player has something to do at the provider's page.",
    "deposit.processing": "The provider is working on it, or we are asking what became of it.",
    "deposit.completed": "The money is there: credit the player, once.",
    "deposit.late_completed": "The same, after it had been told as failed or reversed.",
    "deposit.amount_adjusted": "Another sum than was asked for was paid, and accepted; beside `completed`.",
    "deposit.failed": "No money came.",
    "deposit.expired": "The player did not pay in time.",
    "deposit.cancelled": "The player, you or an operator called it off.",
    "deposit.refunded": "All of it went back.",
    "withdrawal.requested": "A player asks for money; it is reserved.",
    "withdrawal.pending": "The withdrawal waits before it goes to the provider. Not sent yet.",
    "withdrawal.cooling": "The player may still call it off.",
    "withdrawal.under_review": "A person is to decide.",
    "withdrawal.awaiting_kyc": "Documents of the player are awaited. Not sent yet.",
    "withdrawal.awaiting_second_approval": "One person agreed; a second one is to decide.",
    "withdrawal.approved": "It was approved and will be sent.",
    "withdrawal.initiated": "You initiated it; what it waits for besides, its status says.",
    "withdrawal.rejected": "It was rejected; what was reserved is free again.",
    "withdrawal.processing": "It is with the provider, or we are asking what became of it.",
    "withdrawal.partly_paid": "Some parts of it are paid.",
    "withdrawal.completed": "It is paid out.",
    "withdrawal.late_completed": "It was paid out after it had been told as failed or returned.",
    "withdrawal.failed": "It was not paid; what was reserved is free again.",
    "withdrawal.cancelled": "The player or an operator called it off.",
    "withdrawal.returned": "The bank sent it back; the balance is restored.",
    "withdrawal.sla_breached": "It waits longer than promised. Not sent yet.",
    "refund.created": "A refund of a deposit was asked for.",
    "refund.pending": "The refund waits before it goes to the provider. Not sent yet.",
    "refund.awaiting_approval": "A person is to decide about the refund.",
    "refund.approved": "The refund was approved and will be sent.",
    "refund.rejected": "The refund was rejected.",
    "refund.processing": "The refund is with the provider.",
    "refund.completed": "The player has the money back.",
    "refund.late_completed": "The same, after it had been told as failed.",
    "refund.failed": "The refund did not happen.",
    "refund.cancelled": "The refund was called off.",
    "dispute.early_warning": "A card issuer announced a dispute.",
    "dispute.prevented": "It was settled before it was opened.",
    "dispute.opened": "The money of a deposit is disputed.",
    "dispute.needs_response": "The issuer waits for an answer.",
    "dispute.evidence_due": "In three days at most the issuer hears no more evidence.",
    "dispute.submitted": "Evidence was handed in.",
    "dispute.won": "The money is ours again.",
    "dispute.lost": "The money is lost.",
    "dispute.accepted": "The dispute was accepted.",
    "dispute.expired": "Nobody answered in time.",
    "dispute.pre_arbitration": "The other side asks the card scheme to decide.",
    "transaction.failed": "A deposit or withdrawal failed; beside its own `failed`.",
    "transaction.unknown": "Nobody knows yet what became of it; it is being asked.",
    "transaction.conflicted": "Two accounts of it differ; people look at it.",
    "transaction.resolved": "People decided what had been unknown or conflicted.",
    "transaction.reversed": "A deposit that was told as paid was not: take it from the player.",
    "payment.attention": "A person should look; the status did not change.",
    "payment_method.saved": "A player's card or account was saved. Not sent yet.",
    "payment_method.removed": "It was removed. Not sent yet.",
    "limit.changed": "A limit of a player changed. Not sent yet.",
    "limit.hit": "A limit stopped something. Not sent yet.",
    "risk.held": "A rule holds something back. Not sent yet.",
    "risk.cleared": "It was let go. Not sent yet.",
    "provider.degraded": "A provider fails more often than usual. Not sent yet.",
    "provider.disabled": "A provider is not used at the moment. Not sent yet.",
    "provider.recovered": "It is used again. Not sent yet.",
    "reconciliation.exception": "A statement and our books differ. Not sent yet.",
    ENDPOINT_DISABLED: "An endpoint of this site is sent nothing any more.",
    TEST: "You asked for it: sent to one endpoint, whatever types it wants.",
}
assert all(re.fullmatch(r"[a-z_]+\.[a-z_]+", name) for name in EVENT_TYPES)
_GROUPS: Final = frozenset(name.partition(".")[0] for name in EVENT_TYPES)


class UnknownEventType(Refusal):
    """There is no event type {type}; docs/webhooks.md lists them, and deposit.* means all of a group."""

    param = "types"


def checked_types(wanted: Iterable[str]) -> tuple[str, ...]:
    """The chosen types without repetition, in order; `group.*` stands for all of a group, nothing for all.

    Raises:
        UnknownEventType: one that can never come.
    """
    types = tuple(dict.fromkeys(wanted))
    for name in types:
        group, _, rest = name.partition(".")
        if name not in EVENT_TYPES and not (rest == "*" and group in _GROUPS):
            raise UnknownEventType(type=name)
    return types


def is_wanted(types: Sequence[str], name: str) -> bool:
    """Whether an endpoint that chose these types is told of an event of this one."""
    return not types or name in types or f"{name.partition('.')[0]}.*" in types

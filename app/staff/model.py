"""Who sits at the desk, what each role may do, what waits for a person, and who said what about it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NewType

__all__ = [
    "FINAL",
    "HOUSE",
    "NEXT",
    "RIGHTS",
    "RIGHT_TO_VOTE",
    "SYSTEM",
    "Approval",
    "ApprovalId",
    "ApprovalKind",
    "ApprovalState",
    "ApprovalWish",
    "Ballot",
    "DiaryEntry",
    "NewOperator",
    "Operator",
    "OperatorId",
    "Right",
    "Role",
    "Verdict",
    "Vote",
    "merchant_actor",
    "operator_actor",
    "player_actor",
]

OperatorId = NewType("OperatorId", str)
ApprovalId = NewType("ApprovalId", str)

HOUSE: Final = 0  # the diary of what belongs to no site; stop switches write "every site" the same way
SYSTEM: Final = "system"  # the actor of what nobody decided: a sweep, a policy


class Role(StrEnum):
    """What a person at the desk is there for (payments.md section 4)."""

    ADMINISTRATOR = "administrator"
    FINANCE = "finance"
    FRAUD = "fraud"
    SUPPORT = "support"
    COMPLIANCE = "compliance"
    AUDITOR = "auditor"


class Right(StrEnum):
    """One thing that a person may do or look at."""

    PAYOUT_APPROVE = "payout_approve"
    PAYOUT_REJECT = "payout_reject"
    PAYMENT_CANCEL = "payment_cancel"
    REFUND_REQUEST = "refund_request"
    REFUND_APPROVE = "refund_approve"
    CASE_RESOLVE = "case_resolve"
    PAYMENT_READ = "payment_read"
    DIARY_READ = "diary_read"
    STAFF_MANAGE = "staff_manage"


# What is not listed is denied. Nobody may approve what they asked for themselves, whatever stands here.
RIGHTS: Final[Mapping[Role, frozenset[Right]]] = MappingProxyType(
    {
        Role.ADMINISTRATOR: frozenset(Right),
        Role.FINANCE: frozenset(
            {
                Right.PAYOUT_APPROVE,
                Right.PAYOUT_REJECT,
                Right.PAYMENT_CANCEL,
                Right.REFUND_REQUEST,
                Right.REFUND_APPROVE,
                Right.CASE_RESOLVE,
                Right.PAYMENT_READ,
            }
        ),
        # Declines what is suspicious and gives back what would be charged back; pays nobody.
        Role.FRAUD: frozenset({Right.PAYOUT_REJECT, Right.REFUND_REQUEST, Right.PAYMENT_READ}),
        # Cancels when the player asks for it; no refunds.
        Role.SUPPORT: frozenset({Right.PAYMENT_CANCEL, Right.PAYMENT_READ}),
        Role.COMPLIANCE: frozenset({Right.PAYOUT_REJECT, Right.PAYMENT_READ, Right.DIARY_READ}),
        Role.AUDITOR: frozenset({Right.PAYMENT_READ, Right.DIARY_READ}),
    }
)
assert RIGHTS.keys() == set(Role)


class ApprovalKind(StrEnum):
    """What is asked of people."""

    PAYOUT = "payout"
    REFUND = "refund"
    CASE = "case"


class Verdict(StrEnum):
    """What one person says to it."""

    APPROVE = "approve"
    REJECT = "reject"


RIGHT_TO_VOTE: Final[Mapping[tuple[ApprovalKind, Verdict], Right]] = MappingProxyType(
    {
        (ApprovalKind.PAYOUT, Verdict.APPROVE): Right.PAYOUT_APPROVE,
        (ApprovalKind.PAYOUT, Verdict.REJECT): Right.PAYOUT_REJECT,
        (ApprovalKind.REFUND, Verdict.APPROVE): Right.REFUND_APPROVE,
        (ApprovalKind.REFUND, Verdict.REJECT): Right.REFUND_APPROVE,
        (ApprovalKind.CASE, Verdict.APPROVE): Right.CASE_RESOLVE,
        (ApprovalKind.CASE, Verdict.REJECT): Right.CASE_RESOLVE,
    }
)
assert RIGHT_TO_VOTE.keys() == {(kind, verdict) for kind in ApprovalKind for verdict in Verdict}


class ApprovalState(StrEnum):
    """How far an approval is."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


FINAL: Final = frozenset(ApprovalState) - {ApprovalState.OPEN}
NEXT: Final[Mapping[ApprovalState, frozenset[ApprovalState]]] = MappingProxyType(
    {ApprovalState.OPEN: FINAL} | dict.fromkeys(FINAL, frozenset())
)
assert NEXT.keys() == set(ApprovalState)


@dataclass(frozen=True, slots=True)
class NewOperator:
    """What somebody decides about a new person at the desk.

    Attributes:
        login: 2 to 64 lower-case letters, digits, dots, dashes and underscores; unique in the house.
        name: what colleagues read.
        roles: at least one; they never change afterwards.
        sites: the sites this person works for; None for all, also those to come.
    """

    login: str
    name: str
    roles: frozenset[Role]
    sites: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Operator:
    """One person at the desk, as the database had it when it was read."""

    operator_id: OperatorId
    login: str
    name: str
    roles: frozenset[Role]
    sites: frozenset[int] | None
    enabled: bool
    created_at: datetime

    @property
    def actor(self) -> str:
        """How approvals and the diary write this person."""
        return operator_actor(self.operator_id)

    def may(self, right: Right, site_id: int) -> bool:
        """Whether this person has the right at this site; a disabled one has none."""
        at_home = self.sites is None or site_id in self.sites
        return self.enabled and at_home and any(right in RIGHTS[role] for role in self.roles)


@dataclass(frozen=True, slots=True)
class ApprovalWish:
    """What is to be approved.

    Attributes:
        subject: the id of what it is about; one approval at a time is open for a kind and subject.
        content: everything that people say yes to, in plain JSON values: amount, currency, destination, ...
        maker: the actor who asked for it, and who may therefore not vote.
        people_needed: how many different people must approve.
        expires_at: nobody can vote from this instant on.
    """

    kind: ApprovalKind
    subject: str
    content: Mapping[str, Any]
    maker: str
    people_needed: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person says, with the two reasons.

    Attributes:
        reason_staff: for colleagues; a rejection needs one.
        reason_player: what the player may read.
        do_not_tip_off: the player must not learn that this was about the player: nothing is told.
        approval_id: the approval that this person looked at; none: whichever is the newest.
    """

    verdict: Verdict
    reason_staff: str = ""
    reason_player: str = ""
    do_not_tip_off: bool = False
    approval_id: str = ""


@dataclass(frozen=True, slots=True)
class Ballot:
    """A vote as it is kept."""

    operator_id: OperatorId
    verdict: Verdict
    reason_staff: str
    reason_player: str
    do_not_tip_off: bool
    voted_at: datetime

    @property
    def told(self) -> str:
        """What the player may be told of it: nothing where it would tip off."""
        return "" if self.do_not_tip_off else self.reason_player


@dataclass(frozen=True, slots=True)
class Approval:
    """Something that people must say yes to, and what they have said so far, in the order they said it."""

    site_id: int
    approval_id: ApprovalId
    kind: ApprovalKind
    subject: str
    content: Mapping[str, Any]
    content_hash: bytes = field(repr=False)
    maker: str
    people_needed: int
    state: ApprovalState
    made_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    votes: tuple[Ballot, ...]

    @property
    def still_needed(self) -> int:
        """How many more people must approve."""
        return max(0, self.people_needed - sum(vote.verdict is Verdict.APPROVE for vote in self.votes))

    @property
    def told(self) -> str:
        """What the player may be told about a rejection."""
        return next((vote.told for vote in self.votes if vote.verdict is Verdict.REJECT), "")


@dataclass(frozen=True, slots=True)
class DiaryEntry:
    """One line of a site's diary; numbers have no gap."""

    number: int
    entry_id: str
    actor: str
    deed: str
    subject: str
    detail: Mapping[str, Any]
    recorded_at: datetime


def operator_actor(operator_id: str) -> str:
    """How a person at the desk is written where it matters who did something."""
    return f"operator:{operator_id}"


def player_actor(player_id: str) -> str:
    """How a player is written there."""
    return f"player:{player_id}"


def merchant_actor(site_id: int) -> str:
    """How a merchant's server is written there, by its site."""
    return f"merchant:{site_id}"

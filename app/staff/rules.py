"""What a vote and a set of votes mean, and how the exact content of an approval is pinned down. Pure."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from app.kernel.errors import Refusal
from app.kernel.masking import mask_cards
from app.staff.model import (
    NEXT,
    RIGHT_TO_VOTE,
    Approval,
    ApprovalState,
    NewOperator,
    Operator,
    Right,
    Verdict,
    Vote,
)

__all__ = [
    "ACTOR",
    "FRESH_FOR",
    "LOGIN",
    "LONGEST_REASON",
    "MOST_PEOPLE",
    "ApprovalClosed",
    "ApprovalExpired",
    "BadOperator",
    "BadReason",
    "ContentChanged",
    "NotAnotherPerson",
    "NotPermitted",
    "OperatorDisabled",
    "OwnRequest",
    "VotedAlready",
    "admit",
    "check_new",
    "check_reasons",
    "check_text",
    "content_hash",
    "require",
    "standing",
    "without_cards",
]

LONGEST_REASON: Final = 1_000  # characters: a paragraph; evidence is attached, not written down here
MOST_PEOPLE: Final = 5
# How long before it was asked a token still counts as of the hand that made it. A day: whose token was
# replaced has come to work meanwhile and found out, and a new house waits no longer for its second person.
FRESH_FOR: Final = timedelta(days=1)
LOGIN: Final = "[a-z0-9][a-z0-9._-]{1,63}"
# Who can have done something. `machine` is a login of the server itself: whoever runs `cashier` there.
ACTOR: Final = "(system|(player|merchant|operator|machine):[A-Za-z0-9._-]{1,64})"
_LONGEST_NAME: Final = 200
_HASH: Final = re.compile("[0-9a-f]{32,}")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class NotPermitted(Refusal):
    """The operator {login} may not do this at site {site_id}: it needs {right}."""


class OperatorDisabled(Refusal):
    """The operator {login} is disabled."""


class OwnRequest(Refusal):
    """Nobody approves or rejects what they asked for themselves."""


class NotAnotherPerson(Refusal):
    """Of those who ask for {subject} and approve it, one has made another's access of late: ask a third."""


class ApprovalClosed(Refusal):
    """The approval of {subject} is no longer open: it is {state}."""


class ApprovalExpired(Refusal):
    """The approval of {subject} expired at {expires_at}; it must be asked for again."""


class VotedAlready(Refusal):
    """This operator has voted on {subject} before; another person is needed."""


class ContentChanged(Refusal):
    """{subject} has changed since its approval was asked for."""


class BadReason(Refusal):
    """{field}: {rule}."""

    def __init__(self, *, field: str, rule: str) -> None:
        """Say which of the reasons is wrong, and how."""
        super().__init__(field=field, rule=rule)
        self.param = field


class BadOperator(Refusal):
    """{field}: {rule}."""

    def __init__(self, *, field: str, rule: str) -> None:
        """Say which part of the new operator is wrong, and how."""
        super().__init__(field=field, rule=rule)
        self.param = field


def require(operator: Operator, right: Right, site_id: int) -> None:
    """Let pass who has the right at this site.

    Raises:
        OperatorDisabled: whatever the roles.
        NotPermitted: no role of this operator has it, or the site is not one of theirs.
    """
    if not operator.enabled:
        raise OperatorDisabled(login=operator.login)
    if not operator.may(right, site_id):
        raise NotPermitted(login=operator.login, site_id=site_id, right=right.value)


def content_hash(content: Mapping[str, Any]) -> bytes:
    """SHA-256 over plain JSON values in one canonical form: equal content, equal hash, and no other.

    Raises:
        TypeError: a value that is no JSON; better none than one that is written differently tomorrow.
        ValueError: NaN or infinity.
    """
    written = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(written.encode()).digest()


def standing(people_needed: int, verdicts: Iterable[Verdict]) -> ApprovalState:
    """What a set of votes by different people means: one reject ends it, enough approvals approve it."""
    said = list(verdicts)
    if Verdict.REJECT in said:
        return ApprovalState.REJECTED
    return ApprovalState.APPROVED if len(said) >= people_needed else ApprovalState.OPEN


def admit(
    approval: Approval, operator: Operator, vote: Vote, content: Mapping[str, Any], *, at: datetime
) -> ApprovalState:
    """Decide whether this vote counts, and what the approval is with it.

    The refusals stand in the order in which they are looked for: who, then whether still, then what.
    A rejection is not bound to the content: what changed behind everybody's back must be stoppable.

    Args:
        approval: as it is, its row locked.
        operator: who votes, as the database has this person now.
        content: of the subject, as it is now.
        at: the instant of the vote.

    Raises:
        OperatorDisabled: the operator is disabled.
        NotPermitted: the operator has not the right that this vote needs.
        OwnRequest: the operator asked for it.
        ApprovalClosed: it is decided or withdrawn.
        ApprovalExpired: too late.
        VotedAlready: a second vote of the same person.
        ContentChanged: an approval of something else than was asked for.
    """
    require(operator, RIGHT_TO_VOTE[approval.kind, vote.verdict], approval.site_id)
    if operator.actor == approval.maker:
        raise OwnRequest
    if approval.state is ApprovalState.EXPIRED or (
        approval.state is ApprovalState.OPEN and at >= approval.expires_at
    ):
        raise ApprovalExpired(subject=approval.subject, expires_at=approval.expires_at.isoformat())
    if approval.state is not ApprovalState.OPEN:
        raise ApprovalClosed(subject=approval.subject, state=approval.state.value)
    if any(cast.operator_id == operator.operator_id for cast in approval.votes):
        raise VotedAlready(subject=approval.subject)
    if vote.verdict is Verdict.APPROVE and content_hash(content) != approval.content_hash:
        raise ContentChanged(subject=approval.subject)
    after = standing(approval.people_needed, [*(cast.verdict for cast in approval.votes), vote.verdict])
    assert after is ApprovalState.OPEN or after in NEXT[approval.state]
    return after


def check_text(field: str, text: str) -> None:
    """Refuse what nobody at the desk may write down: it is kept for ever, in the diary too.

    Raises:
        BadReason: control characters, or the number of a card (PCI DSS 3.5.1) among the words.
    """
    if _CONTROL.search(text):
        raise BadReason(field=field, rule="no control characters")
    if mask_cards(text) != text:
        raise BadReason(field=field, rule="no card number; its last four digits are enough")


def without_cards(value: Any) -> Any:  # noqa: ANN401  plain JSON of any shape
    """Plain JSON with the card numbers in its texts masked; a hash, which may hold such digits, stays."""
    match value:
        case str():
            return value if _HASH.fullmatch(value) else mask_cards(value)
        case Mapping():
            return {key: without_cards(member) for key, member in value.items()}
        case list() | tuple():
            return [without_cards(member) for member in value]
        case _:
            return value


def check_reasons(vote: Vote) -> None:
    """Refuse reasons that nobody can read; a rejection says why.

    Raises:
        BadReason: missing, too long, with control characters or a card number.
    """
    for name, text in (("reason_staff", vote.reason_staff), ("reason_player", vote.reason_player)):
        if len(text) > LONGEST_REASON:
            raise BadReason(field=name, rule=f"at most {LONGEST_REASON} characters")
        check_text(name, text)
    if vote.verdict is Verdict.REJECT and not vote.reason_staff.strip():
        raise BadReason(field="reason_staff", rule="a rejection says why, for colleagues")


def check_new(new: NewOperator) -> None:
    """Refuse an operator whom nobody could tell apart or who could do nothing anywhere.

    Raises:
        BadOperator: login, name, roles or sites.
    """
    if not re.fullmatch(LOGIN, new.login):
        raise BadOperator(field="login", rule="2 to 64 lower-case letters, digits, dots, dashes, underscores")
    if not new.name.strip() or len(new.name) > _LONGEST_NAME or _CONTROL.search(new.name):
        raise BadOperator(field="name", rule=f"1 to {_LONGEST_NAME} characters, no control characters")
    if not new.roles:
        raise BadOperator(field="roles", rule="at least one")
    if new.sites is not None and not new.sites:
        raise BadOperator(field="sites", rule="at least one, or none named for all")

"""What is true of the desk: who sits there, what waits for whom, and what was noted."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Text, func, select, tuple_
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.engine import Row

from app.kernel.errors import Refusal
from app.plumbing.database import Reader
from app.staff.model import (
    HOUSE,
    SYSTEM,
    Approval,
    ApprovalId,
    ApprovalKind,
    ApprovalState,
    Ballot,
    DiaryEntry,
    Operator,
    OperatorId,
    Role,
    Verdict,
    operator_actor,
)
from app.staff.rules import FRESH_FOR, content_hash, without_cards
from app.staff.tables import approval_votes, approvals, diary_entries, diary_seals, operators

__all__ = [
    "PAGE",
    "ApprovalNotFound",
    "OperatorNotAuthentic",
    "OperatorNotFound",
    "approval",
    "approvals_where",
    "approved",
    "authentic",
    "diary",
    "is_one_hand",
    "newest_approval",
    "noted",
    "open_approvals",
    "operator",
    "operators_of",
    "token_hash",
]

PAGE = 100  # rows of a list when nobody says how many
_security = structlog.get_logger("security")
_KEPT = [column for column in operators.c if column.name != "token_hash"]


class OperatorNotAuthentic(Refusal):
    """The operator's token is unknown, was replaced, or its operator is disabled."""


class OperatorNotFound(Refusal):
    """There is no such operator."""


class ApprovalNotFound(Refusal):
    """Nobody has asked for an approval of {subject}."""


async def authentic(reader: Reader, token: str) -> Operator:
    """The enabled operator whose token this is.

    Raises:
        OperatorNotAuthentic: for every reason, so that an answer tells nothing about who exists.
    """
    row = await reader.first(select(*_KEPT).where(operators.c.token_hash == token_hash(token)))
    if row is None or row.disabled_at is not None:
        operator_id = None if row is None else row.operator_id
        _security.warning("operator.refused", operator_id=operator_id)
        raise OperatorNotAuthentic
    return _operator(row)


async def operator(reader: Reader, operator_id: str, *, lock: bool = False) -> Operator:
    """One operator, disabled or not.

    Args:
        lock: nobody disables this operator before the caller's transaction ends.

    Raises:
        OperatorNotFound: no such id.
    """
    query = select(*_KEPT).where(operators.c.operator_id == operator_id)
    row = await reader.first(query.with_for_update(read=True) if lock else query)
    if row is None:
        raise OperatorNotFound
    return _operator(row)


async def operators_of(reader: Reader, *, login: str | None = None) -> list[Operator]:
    """Every operator by login, or the one who has this login."""
    query = select(*_KEPT).order_by(operators.c.login)
    rows = await reader.all(query if login is None else query.where(operators.c.login == login))
    return [_operator(row) for row in rows]


async def approval(reader: Reader, site_id: int, approval_id: str) -> Approval:
    """One approval with its votes.

    Raises:
        ApprovalNotFound: no such id at this site.
    """
    found = await approvals_where(
        reader, approvals.c.site_id == site_id, approvals.c.approval_id == approval_id
    )
    if not found:
        raise ApprovalNotFound(subject=approval_id)
    return found[0]


async def newest_approval(reader: Reader, site_id: int, kind: ApprovalKind, subject: str) -> Approval | None:
    """The approval of a subject that was opened last, whatever became of it."""
    found = await approvals_where(
        reader,
        approvals.c.site_id == site_id,
        approvals.c.kind == kind,
        approvals.c.subject == subject,
        newest_first=True,
        limit=1,
    )
    return found[0] if found else None


async def approved(
    reader: Reader, site_id: int, kind: ApprovalKind, subject: str, content: Mapping[str, Any]
) -> bool:
    """Whether people have approved exactly this, and nothing was asked of them since."""
    found = await newest_approval(reader, site_id, kind, subject)
    if found is None or found.state is not ApprovalState.APPROVED:
        return False
    return found.content_hash == content_hash(content)


async def noted(reader: Reader, site_id: int, deed: str, subject: str, detail: Mapping[str, Any]) -> bool:
    """Whether the house itself has noted exactly this deed in a site's diary."""
    found = await reader.all(
        select(diary_entries.c.detail).where(
            diary_entries.c.site_id == site_id,
            diary_entries.c.subject == subject,
            diary_entries.c.deed == deed,
            diary_entries.c.actor == SYSTEM,
        )
    )
    wanted = content_hash(without_cards(detail))  # as the diary keeps it, and both as it would be kept today
    return any(content_hash(without_cards(row.detail)) == wanted for row in found)


async def is_one_hand(reader: Reader, about: Approval, voter: Operator) -> bool:
    """Whether one operator could be two of those who ask and vote: by accounts and tokens made of late.

    However many hands lie between, and in whatever order: who makes a colleague's token may vote first as the
    colleague, or as two of them, or let a helper make it whose account is another deed of the same person.
    """
    people = [about.maker, *(operator_actor(cast.operator_id) for cast in about.votes), voter.actor]
    one = func.unnest(array(list(dict.fromkeys(people)), type_=Text)).table_valued("actor").render_derived()
    behind = select(one.c.actor.label("person"), one.c.actor.label("hand")).cte("behind", recursive=True)
    made = diary_entries.alias("made")
    behind = behind.union(
        select(behind.c.person, made.c.actor).where(
            made.c.site_id == HOUSE,
            made.c.subject == func.substr(behind.c.hand, len(operator_actor("")) + 1),
            behind.c.hand.startswith(operator_actor("")),
            made.c.deed.in_(["operator.created", "operator.token_replaced"]),
            # Who can make one on the server itself holds the database anyway.
            made.c.actor.startswith(operator_actor("")),
            made.c.recorded_at >= about.made_at - FRESH_FOR,
        )
    )
    hands = await reader.all(select(behind.c.hand))
    return len({row.hand for row in hands}) < len(hands)


async def open_approvals(
    reader: Reader, site_id: int, *, kind: ApprovalKind | None = None, limit: int = PAGE
) -> list[Approval]:
    """What waits for people at a site, the longest waiting first; what has expired unswept is among it."""
    conditions = [approvals.c.site_id == site_id, approvals.c.state == ApprovalState.OPEN]
    if kind is not None:
        conditions.append(approvals.c.kind == kind)
    return await approvals_where(reader, *conditions, limit=limit)


async def approvals_where(
    reader: Reader, *conditions: ColumnElement[bool], newest_first: bool = False, limit: int = PAGE
) -> list[Approval]:
    """Approvals with their votes, by the time they were opened."""
    order = (approvals.c.made_at, approvals.c.approval_id)
    query = approvals.select().where(*conditions).limit(limit)
    rows = await reader.all(query.order_by(*(column.desc() if newest_first else column for column in order)))
    votes = await _votes(reader, [(row.site_id, row.approval_id) for row in rows])
    return [_approval(row, votes[row.site_id, row.approval_id]) for row in rows]


async def diary(
    reader: Reader,
    site_id: int,
    *,
    subject: str | None = None,
    before: int | None = None,
    limit: int = PAGE,
) -> list[DiaryEntry]:
    """A site's diary, newest first; site 0 is the house's own.

    Args:
        subject: only what is about this.
        before: only what is older than this number, to go on from a page.
        limit: how many at most.
    """
    joined = diary_seals.join(
        diary_entries,
        (diary_entries.c.site_id == diary_seals.c.site_id)
        & (diary_entries.c.entry_id == diary_seals.c.entry_id),
    )
    query = select(diary_seals.c.number, diary_entries).select_from(joined)
    query = query.where(diary_seals.c.site_id == site_id).order_by(diary_seals.c.number.desc()).limit(limit)
    if subject is not None:
        query = query.where(diary_entries.c.subject == subject)
    if before is not None:
        query = query.where(diary_seals.c.number < before)
    return [
        DiaryEntry(row.number, row.entry_id, row.actor, row.deed, row.subject, row.detail, row.recorded_at)
        for row in await reader.all(query)
    ]


def token_hash(token: str) -> bytes:
    """How a token is kept: it has 256 random bits, so a plain SHA-256 is enough."""
    return hashlib.sha256(token.encode()).digest()


async def _votes(
    reader: Reader, keys: Iterable[tuple[int, str]]
) -> Mapping[tuple[int, str], tuple[Ballot, ...]]:
    found: dict[tuple[int, str], tuple[Ballot, ...]] = defaultdict(tuple)
    if not (wanted := list(keys)):
        return found
    key = tuple_(approval_votes.c.site_id, approval_votes.c.approval_id)
    query = approval_votes.select().where(key.in_(wanted))
    for row in await reader.all(query.order_by(approval_votes.c.voted_at, approval_votes.c.operator_id)):
        found[row.site_id, row.approval_id] += (
            Ballot(
                OperatorId(row.operator_id),
                Verdict(row.verdict),
                row.reason_staff,
                row.reason_player,
                row.do_not_tip_off,
                row.voted_at,
            ),
        )
    return found


def _operator(row: Row[Any]) -> Operator:
    return Operator(
        operator_id=OperatorId(row.operator_id),
        login=row.login,
        name=row.name,
        roles=frozenset(Role(role) for role in row.roles),
        sites=None if row.sites is None else frozenset(row.sites),
        enabled=row.disabled_at is None,
        created_at=row.created_at,
    )


def _approval(row: Row[Any], votes: tuple[Ballot, ...]) -> Approval:
    return Approval(
        site_id=row.site_id,
        approval_id=ApprovalId(row.approval_id),
        kind=ApprovalKind(row.kind),
        subject=row.subject,
        content=row.content,
        content_hash=row.content_hash,
        maker=row.maker,
        people_needed=row.people_needed,
        state=ApprovalState(row.state),
        made_at=row.made_at,
        expires_at=row.expires_at,
        decided_at=row.decided_at,
        votes=votes,
    )

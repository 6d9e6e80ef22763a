"""A desk with people at it, for tests: who they are, and the shortest way to ask them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import merchants, staff
from app.plumbing.database import Database
from app.staff import Approval, ApprovalKind, ApprovalWish, NewOperator, Operator, Role, Verdict, Vote

PAYOUT = ApprovalKind.PAYOUT
SUBJECT = "wdr_1"
CONTENT = {"amount_minor": 500_000, "currency": "KZT", "legs": [{"destination": "ab12", "minor": 500_000}]}
PLAYER = "player:ply_1"
APPROVE = Vote(Verdict.APPROVE)
REJECT = Vote(Verdict.REJECT, reason_staff="not the player's card", reason_player="Use your own card.")
SITE = merchants.NewSite(
    name="Altyn Games",
    currencies=("KZT",),
    callout_url="https://shop.example.com/callout",
    notify_url="https://shop.example.com/notify",
)


@dataclass
class Desk:
    """One site, and the people of it."""

    database: Database
    site_id: int
    now: datetime

    async def operator(self, login: str, *roles: Role, sites: frozenset[int] | None = None) -> Operator:
        return (await self.operator_and_token(login, *roles, sites=sites))[0]

    async def operator_and_token(
        self, login: str, *roles: Role, sites: frozenset[int] | None = None
    ) -> tuple[Operator, str]:
        new = NewOperator(login, login.title(), frozenset(roles or {Role.FINANCE}), sites)
        async with self.database.transaction() as tx:
            return await staff.create_operator(tx, new, at=self.now)

    def wish(
        self,
        *,
        people: int = 1,
        maker: str = PLAYER,
        kind: ApprovalKind = PAYOUT,
        content: Mapping[str, Any] = CONTENT,
    ) -> ApprovalWish:
        return ApprovalWish(kind, SUBJECT, content, maker, people, self.now + timedelta(hours=24))

    async def ask(self, wish: ApprovalWish | None = None, *, after: timedelta = timedelta(0)) -> Approval:
        async with self.database.transaction() as tx:
            return await staff.open_approval(tx, self.site_id, wish or self.wish(), at=self.now + after)

    async def vote(
        self,
        operator: Operator,
        cast: Vote = APPROVE,
        *,
        kind: ApprovalKind = PAYOUT,
        content: Mapping[str, Any] = CONTENT,
        after: timedelta = timedelta(minutes=1),
    ) -> Approval:
        async with self.database.transaction() as tx:
            return await staff.vote(
                tx, self.site_id, kind, SUBJECT, operator, cast, content=content, at=self.now + after
            )

    async def newest(self, kind: ApprovalKind = PAYOUT) -> Approval:
        async with self.database.reading() as reader:
            found = await staff.newest_approval(reader, self.site_id, kind, SUBJECT)
        assert found is not None
        return found

    async def diary(self, site_id: int | None = None) -> list[staff.DiaryEntry]:
        async with self.database.reading() as reader:
            return await staff.diary(reader, self.site_id if site_id is None else site_id)


async def opened(database: Database, now: datetime) -> Desk:
    """A desk for a new site."""
    async with database.transaction() as tx:
        site = await merchants.create_site(tx, SITE, at=now)
    return Desk(database, site.site_id, now)


async def attack(database: Database, statement: str) -> str:
    """Try SQL, commit and all; what the database said, or nothing when it let it pass."""
    try:
        async with database.transaction() as tx:
            await tx.execute(text(statement.replace(":", "\\:")))
    except DBAPIError as error:
        return str(error.orig)
    return ""

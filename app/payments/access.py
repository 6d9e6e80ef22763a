"""Whose call of our own API it is, what may be written in it, and what a person does: once for each key."""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import Header, Query, Request, Response
from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from app import merchants, staff
from app.kernel.errors import Refusal
from app.payments.queries import Payment
from app.payments.states import Kind
from app.payments.telling import WORDS
from app.plumbing import idempotency, web
from app.plumbing.pipes import Pipes

__all__ = [
    "Caller",
    "Instant",
    "Key",
    "NotOfThisKind",
    "OperatorNeeded",
    "Site",
    "SiteNotNamed",
    "SiteNumber",
    "Text",
    "TokenNeeded",
    "TokenOfAnotherUse",
    "caller_of",
    "check_kind",
    "done_once",
    "named_as_sent",
    "person_of",
]

_OF_STAFF: Final = "ck_staff_"
# A token for play is in the hands of game platforms, whom the players' payments do not concern.
_MAY_READ: Final = frozenset({merchants.Scope.READ, merchants.Scope.WALLET})
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # but not tab and line feed
_LARGEST_SITE: Final = 2**31 - 1


def _without_controls(said: str) -> str:
    if _CONTROLS.search(said):
        raise PydanticCustomError("control_characters", "no control characters")
    return said


def _in_the_calendar(said: datetime) -> datetime:
    try:
        return said.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("instant", "an instant of the years 1 to 9999 in UTC") from None


# In its own zone it may be in the calendar, and not in the database's.
Instant = Annotated[datetime, AfterValidator(_in_the_calendar)]
# What a caller may write anywhere: the database keeps no NUL, and nobody's terminal wants the others.
Text = Annotated[str, AfterValidator(_without_controls)]
SiteNumber = Annotated[
    int, Field(ge=0, le=_LARGEST_SITE, description="Whose; with a token of a site, that site.")
]
Key = Annotated[str | None, Header(alias="Idempotency-Key", description="Yours; a retry has one effect.")]
Site = Annotated[SiteNumber, Query(alias="site_id")]


class SiteNotNamed(Refusal):
    """Name the site that it is about: ?site_id=101."""

    param = "site_id"


class TokenNeeded(Refusal):
    """Send the header "Authorization: Bearer TOKEN" with a token that is good here: of {whom}."""

    def __init__(self) -> None:
        """Say who makes tokens; which of them is wrong, an answer does not tell."""
        super().__init__(
            whom="your site's server (made by `cashier token create SITE read`) "
            "or of a person (`cashier operator create LOGIN --role ROLE`)"
        )


class TokenOfAnotherUse(Refusal):
    """This token is one for {scope}: payments are read with one for read or wallet."""


class OperatorNeeded(Refusal):
    """A site's server may not {verb}: an operator's token is needed."""


class NotOfThisKind(Refusal):
    """{payment_id} is a {kind}; this can be done to a {kinds}."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks about which site; `operator` is a person, else it is the site's own server."""

    site_id: int
    operator: staff.Operator | None


def check_kind(found: Payment, kinds: Sequence[Kind]) -> None:
    """Refuse what can be done to other kinds of payments only."""
    if found.kind not in kinds:
        words = " or a ".join(WORDS[kind] for kind in kinds)
        raise NotOfThisKind(payment_id=found.payment_id, kind=WORDS[found.kind], kinds=words)


@contextmanager
def named_as_sent(names: Mapping[str, str]) -> Iterator[None]:
    """Let what a deed refuses name the field as it was sent.

    Args:
        names: of each field that is called otherwise there; of what names none, under "".
    """
    try:
        yield
    except Refusal as refusal:
        own = refusal.param or ""
        if own in names:
            refusal.param = names[own]
            if own and refusal.sentence.startswith(f"{own}: "):
                refusal.sentence = refusal.sentence.replace(own, names[own], 1)
                refusal.fields["field"] = names[own]
        raise


async def caller_of(pipes: Pipes, request: Request, site_id: int) -> Caller:
    """Who a bearer token is, and for which site.

    Raises:
        TokenNeeded, OperatorNotAuthentic: nobody (401).
        TokenOfAnotherUse, NotPermitted: a game platform, or a person who may not read there (403).
        SiteNotNamed, SiteNotFound: a person named none (400), or none that exists (404).
    """
    token = web.bearer_of(request.headers.get("authorization", ""))
    async with pipes.database.reading() as reader:
        if not token.startswith(_OF_STAFF):
            try:
                site, scope = await merchants.bearer(reader, token)
            except merchants.NotAuthentic as refusal:
                raise TokenNeeded from refusal
            if scope not in _MAY_READ:
                raise TokenOfAnotherUse(scope=scope.value)
            if site_id not in {0, site.site_id}:
                raise merchants.SiteNotFound(site_id=site_id)
            return Caller(site.site_id, None)
        operator = await staff.authentic(reader, token)
        if not site_id:
            raise SiteNotNamed
        staff.require(operator, staff.Right.PAYMENT_READ, site_id)
        await merchants.site(reader, site_id)
        return Caller(site_id, operator)


async def person_of(pipes: Pipes, request: Request, site_id: int, *, verb: str) -> tuple[int, staff.Operator]:
    """Which person it is, and for which site.

    Args:
        verb: what is to be done, for the refusal's sentence.

    Raises:
        OperatorNeeded: a site's own server (403); else as `caller_of`.
    """
    caller = await caller_of(pipes, request, site_id)
    if caller.operator is None:
        raise OperatorNeeded(verb=verb)
    return caller.site_id, caller.operator


async def done_once(
    pipes: Pipes,
    request: Request,
    asked: tuple[int, str, str, str | None],
    content: Mapping[str, Any],
    deed: Callable[[int, staff.Operator], Awaitable[BaseModel]],
) -> Response:
    """Let a person do something, once for each key of theirs; a repeat hears the first answer.

    Args:
        asked: the site, what it is about, the verb, and the key as it came.
        content: the body; the same key with another one is refused.
        deed: does it at a site; refuses before it commits anything.

    Raises:
        IdempotencyKeyMissing, IdempotencyKeyReused, IdempotencyInProgress: see `idempotency`.
    """
    site_id, subject, verb, header = asked
    key = idempotency.checked_key(header)
    its_site, operator = await person_of(pipes, request, site_id, verb=verb)

    async def work() -> Mapping[str, Any]:
        # As text: a repeat is the same byte for byte.
        return {"body": (await deed(its_site, operator)).model_dump_json()}

    scope = f"api:{operator.operator_id}:{verb}:{subject}"
    told, replayed = await idempotency.once(pipes.database, its_site, scope, key, content, work)
    headers = {"Idempotent-Replayed": "true"} if replayed else None
    return Response(told["body"], headers=headers, media_type="application/json")

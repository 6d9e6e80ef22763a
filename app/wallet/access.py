"""Who calls: the site behind a bearer token, what the token may do, and what the site has decided.

A token in use is looked up once a second and remembered in this process: a revoked token or a changed
policy takes effect within `KEPT_SECONDS`.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncpg
import structlog
from fastapi import Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import DBAPIError
from starlette.requests import ClientDisconnect
from typing_extensions import override

from app import merchants
from app.plumbing import direct, web
from app.plumbing.batching import Overloaded
from app.plumbing.database import BUSY_SQLSTATES, DatabaseDown, sqlstate
from app.plumbing.limits import Buckets, TooManyRequests
from app.plumbing.pipes import Pipes
from app.plumbing.remembered import Remembered
from app.wallet.catalogue import listed_games
from app.wallet.contract import MEANINGS, RETRY_SECONDS, Refused, envelope, rendered
from app.wallet.queries import policies_of
from app.wallet.terms import KEPT_SECONDS, Code, Policy

__all__ = ["Access", "Caller", "Direct", "Enveloped"]

_MOST_KEPT: Final = 10_000
_MOST_ASKING: Final = 2  # of the ten connections that a process has
_MOST_WAITING: Final = 1_000  # tokens that nobody knows: so many in memory; who comes on top hears 503
_MOST_HELD_BACK: Final = 20  # answers that wait for the sake of a test; of a thousand connections
# More than a process carries out: it stops who sends without end, not who is fast with batches. Who is over
# it hears 429 and has lost nothing.
_PER_SECOND: Final = 50_000
_TOO_SLOW: Final = 408
_log = structlog.get_logger("wallet")
_security = structlog.get_logger("security")


@dataclass(frozen=True, slots=True)
class Caller:
    """A site's server, authenticated: its site, its token's scope, its decisions.

    Args:
        policies: by platform; "" for all others and for transfers.
        games: platform and code of the games in its catalogue; looked up where a policy asks.
        rollbacks_name_platform: what a rollback does, or how it is answered, depends on the platform, so it
            must name it.
    """

    site: merchants.Site
    scope: merchants.Scope
    policies: dict[str, Policy]
    games: frozenset[tuple[str, str]]
    rollbacks_name_platform: bool

    @property
    def site_id(self) -> int:
        """The number of its site."""
        return self.site.site_id

    def policy(self, provider: str = "") -> Policy:
        """What the site has decided, for one platform or for all."""
        return self.policies.get(provider) or self.policies[""]


@dataclass(slots=True)
class Access:
    """The door of the wallet's surface."""

    pipes: Pipes
    _callers: Remembered[Caller] = field(init=False)
    _buckets: Buckets = field(init=False)
    # Strangers wait for each other, not for who is known; and both leave connections to what they ask for.
    _strangers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_ASKING))
    _known: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_ASKING))
    _held_back: int = 0

    def __post_init__(self) -> None:
        """Know nobody yet; count per site."""
        self._callers = Remembered(
            self._found, self.pipes.clock, seconds=KEPT_SECONDS, most=_MOST_KEPT, waiting=_MOST_WAITING
        )
        self._buckets = Buckets(self.pipes.clock, per_second=_PER_SECOND, burst=_PER_SECOND)

    async def caller(self, request: Request, scopes: frozenset[merchants.Scope]) -> Caller:
        """The site behind a request's token.

        Args:
            request: its `Authorization` header counts.
            scopes: any of these will do.

        Raises:
            Refused: UNAUTHENTICATED, FORBIDDEN or RATE_LIMITED.
        """
        token = web.bearer_of(request.headers.get("authorization", ""))
        if not token:
            raise Refused(Code.UNAUTHENTICATED)
        try:
            found = await self._callers(token)
        except merchants.NotAuthentic as refusal:
            raise Refused(Code.UNAUTHENTICATED) from refusal
        if found.scope not in scopes:
            _security.warning("token.scope", site_id=found.site_id, scope=found.scope)
            raise Refused(Code.FORBIDDEN)
        try:
            self._buckets.take(str(found.site_id))
        except TooManyRequests as refusal:
            raise Refused(Code.RATE_LIMITED, retryAfter=refusal.fields["retry_after_seconds"]) from refusal
        return found

    def charge(self, caller: Caller, operations: int) -> None:
        """Count a batch or a book as what it holds: the calls behind it wait for it."""
        self._buckets.charge(str(caller.site_id), max(0, operations - 1))

    @contextmanager
    def holding_back(self) -> Iterator[None]:
        """While an answer is held back for an integrator's test: its connection is one that others may need.

        Raises:
            Overloaded: as many as may are held back already.
        """
        if self._held_back >= _MOST_HELD_BACK:
            raise Overloaded(retry_after_seconds=1)
        self._held_back += 1
        try:
            yield
        finally:
            self._held_back -= 1

    async def _found(self, token: str) -> Caller:
        place = self._known if self._callers.knows(token) else self._strangers
        async with place, self.pipes.database.reading() as reader:
            site, scope = await merchants.bearer(reader, token)
            policies = await policies_of(reader, site.site_id)
            listed = any(policy.listed_games_only for policy in policies.values())
            games = await listed_games(reader, site.site_id) if listed else frozenset()
            return Caller(site, scope, policies, games, _differ_on_rollbacks(policies))


def _differ_on_rollbacks(policies: Mapping[str, Policy]) -> bool:
    ways = {
        (
            *(one.id_scope, one.reverse_wins, one.short_reversal, one.rollback_amount),
            *(one.free_rounds, one.free_wins, one.amount_unit),
        )
        for one in policies.values()
    }
    return len(ways) > 1


class Enveloped(APIRoute):
    """A route of the wallet's surface: whatever happens, the answer has the wallet's one form."""

    @override
    def get_route_handler(self) -> direct.Handle:
        """Turn what a handler raises into an envelope."""
        return _enveloped(super().get_route_handler())


class Direct(direct.Direct):
    """The same for an endpoint that takes the request and nothing else."""

    @override
    def guarded(self, endpoint: direct.Handle) -> direct.Handle:
        """Turn what it raises into an envelope."""
        return _enveloped(endpoint)


def _enveloped(handle: direct.Handle) -> direct.Handle:
    async def handled(request: Request) -> Response:
        try:
            response = await handle(request)
        except Refused as refusal:
            response = _refused(refusal)
        except (Overloaded, DatabaseDown) as error:
            _log.warning("wallet.overloaded", reason=repr(error))
            return _refused(Refused(Code.OVERLOADED, retryAfter=1))
        except (DBAPIError, asyncpg.PostgresError) as error:
            if sqlstate(error) not in BUSY_SQLSTATES:
                _log.exception("wallet.failed")
                return _refused(Refused(Code.INTERNAL))
            return _refused(Refused(Code.OVERLOADED, retryAfter=1))
        except web.FrameworkRefusal as error:
            if error.status_code == _TOO_SLOW:
                # No word about the id: an earlier try may have been carried out.
                return _refused(Refused(Code.OVERLOADED, error.detail, retryAfter=1))
            return _refused(Refused(Code.VALIDATION, f"body: {error.detail}", field="body"))
        except ClientDisconnect:
            raise
        # Whatever it was, its caller must ask by id.
        except Exception:  # noqa: BLE001
            _log.exception("wallet.failed")
            return _refused(Refused(Code.INTERNAL))
        # Each call stands in the wallet's own history; a line in the log costs more than the call.
        request.scope["counted_only"] = True
        return response

    return handled


def _refused(refusal: Refused) -> Response:
    meaning = MEANINGS[refusal.code]
    data = {**refusal.data, "final": meaning.final}
    if not meaning.final:
        data.setdefault("retryAfter", RETRY_SECONDS)
    headers = {"retry-after": str(data["retryAfter"])} if "retryAfter" in data else None
    if refusal.code is Code.UNAUTHENTICATED:
        headers = {"www-authenticate": "Bearer"}
    return rendered(meaning.status, envelope(refusal.code, data, str(refusal)), headers)

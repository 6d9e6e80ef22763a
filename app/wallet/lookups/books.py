"""Reconciling: somebody sends their book, and hears only on which lines ours differs (wallet.md 3)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from app.plumbing.pipes import Pipes
from app.wallet.access import Access
from app.wallet.audit import Difference, Item, differences
from app.wallet.bodies import read_body
from app.wallet.contract import Refused, units
from app.wallet.lookups.asking import READERS, described, instant_of, ok, optional, wrong
from app.wallet.policy import Policy
from app.wallet.schemas import amount_of, currency_of, text_of
from app.wallet.terms import Type

__all__ = ["mount"]

_MOST_ITEMS: Final = 10_000
_MOST_DIFFERENCES: Final = 10_000
_SOURCES: Final = ("operator", "game")
_EXAMPLE: Final = {
    "items": [{"id": "t-1", "amount": 150000, "currency": "KZT"}],
    "period": {"from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z"},
    "source": "operator",
}


def mount(routes: APIRouter, pipes: Pipes, access: Access) -> None:
    """Add this call."""

    @routes.post("/v1/reconcile", **described("wallet_reconcile", body=_EXAMPLE))
    async def reconcile(request: Request) -> Response:
        """Hold a list of ids and amounts against what was recorded; only the differences come back.

        With a period, what moved money in it and is not in the list is a difference too: `missing_there`, or
        `made_here` where the house did it by itself, to the operation that its `referenceId` names.
        """
        caller = await access.caller(request, READERS)
        body = read_body(await request.body())
        sources, provider = _sources(body)
        policy = caller.policy(provider)
        items, period = _items(body, policy), _period(body)
        access.charge(caller, len(items))
        book = (caller.site_id, items, sources, period)
        async with pipes.database.reading() as reader:
            found = await differences(reader, *book, provider=provider, limit=_MOST_DIFFERENCES)
        return ok(
            {
                "checked": len(items),
                "differences": [_told(one, policy) for one in found],
                "isComplete": len(found) < _MOST_DIFFERENCES,
            }
        )


def _items(body: Mapping[str, Any], policy: Policy) -> list[Item]:
    """Their book; the field of a wrong line is named as items.N.field."""
    given = body.get("items")
    if type(given) is not list or len(given) > _MOST_ITEMS:
        raise wrong("items", f"must be a list of at most {_MOST_ITEMS}")
    return [_item(line, f"items.{place}", policy) for place, line in enumerate(given)]


def _item(line: object, name: str, policy: Policy) -> Item:
    if not isinstance(line, dict):
        raise wrong(name, "must be an object")
    try:
        currency = currency_of(line)
        amount = amount_of(line, "amount", currency, policy, least=0)
        has_win = line.get("winAmount") is not None
        win = amount_of(line, "winAmount", currency, policy, least=0) if has_win else 0
        return Item(text_of(line, "id"), amount, currency, win)
    except Refused as refusal:
        field = f"{name}.{refusal.data.get('field')}"
        raise Refused(refusal.code, f"{name}.{refusal}", field=field) from refusal


def _sources(body: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """Whose ids are in the book, and the one game platform that it is of, where it names one."""
    given, provider = body.get("source"), optional(body, "providerId")
    if given not in (None, *_SOURCES):
        raise wrong("source", f"must be one of {', '.join(_SOURCES)}")
    if provider and given == "operator":
        raise wrong("providerId", "goes with the source game: no transfer comes by a game platform")
    if provider:
        return ("game",), provider
    return (_SOURCES if given is None else (given,)), ""


def _period(body: Mapping[str, Any]) -> tuple[datetime, datetime] | None:
    given = body.get("period")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise wrong("period", "must be an object with from and to")
    since, until = instant_of(given, "from"), instant_of(given, "to")
    if since is None or until is None or since >= until:
        raise wrong("period", "must have a from before its to")
    return since, until


def _told(one: Difference, policy: Policy) -> dict[str, object]:
    here, there = None, None
    if one.here is not None:
        here = {
            "transactionId": one.here.operation_id,
            "type": one.here.type,
            "amount": units(policy, one.here.currency)(one.here.amount),
            "currency": one.here.currency,
            "code": one.here.code,
        }
        if one.here.type is Type.BETWIN:
            here["winAmount"] = units(policy, one.here.currency)(one.here.win)
        if one.here.reference is not None:
            here["referenceId"] = one.here.reference
    if one.there is not None:
        amount = units(policy, one.there.currency)(one.there.amount)
        there = {"amount": amount, "currency": one.there.currency}
        if one.there.win:
            there["winAmount"] = units(policy, one.there.currency)(one.there.win)
    return {"id": one.key, "difference": one.why, "here": here, "there": there}

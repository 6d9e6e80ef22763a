"""Players and what they have: create or link, info, balance."""

import re
from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from app import merchants
from app.plumbing.database import Transaction
from app.plumbing.pipes import Pipes
from app.wallet.access import Access, Caller
from app.wallet.bodies import read_body
from app.wallet.contract import units
from app.wallet.lookups.asking import (
    OPERATORS,
    READERS,
    check_mode,
    described,
    done,
    ok,
    optional,
    player_and_purses,
    purse_of,
    wrong,
)
from app.wallet.operations import create_player
from app.wallet.policy import Policy
from app.wallet.queries import Purse
from app.wallet.schemas import currency_of, text_of

__all__ = ["mount", "tag_of"]

_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")
# RFC 5646, as far as anybody writes it: en, kk-KZ, zh-Hant-TW.
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_EXAMPLE: Final = {"playerExternalId": "player-1", "currency": "KZT", "country": "KZ", "language": "kk"}


def mount(routes: APIRouter, pipes: Pipes, access: Access) -> None:
    """Add these calls."""

    @routes.post("/v1/player/create", **described("wallet_player_create", body=_EXAMPLE))
    async def create(request: Request) -> Response:
        """Create a player with a wallet, or link to the one that is known; again: the same `playerCode`."""
        caller = await access.caller(request, OPERATORS)
        check_mode(caller)
        return ok(await _created(pipes, caller, read_body(await request.body())))

    @routes.get("/v1/player/info", **described("wallet_player_info", "playerExternalId!"))
    async def info(request: Request) -> Response:
        """What a player has, by currency."""
        caller = await access.caller(request, READERS)
        login = text_of(request.query_params, "playerExternalId")
        async with pipes.database.reading() as reader:
            player_id, status, found = await player_and_purses(reader, caller.site_id, login)
        balances = {currency: _told(purse, caller.policy()) for currency, purse in found.items()}
        return ok(
            {"playerExternalId": login, "playerCode": player_id, "status": status, "balances": balances}
        )

    asked = ("playerExternalId!", "currency!", "providerId")

    @routes.get("/v1/player/wallet/balance", **described("wallet_balance", *asked))
    async def balance(request: Request) -> Response:
        """What is in one wallet; with a `providerId` in the unit that this game platform writes."""
        caller = await access.caller(request, READERS)
        async with pipes.database.reading() as reader:
            login, purse = await purse_of(reader, request, caller)
        policy = caller.policy(optional(request.query_params, "providerId"))
        return ok({"playerExternalId": login, "currency": purse.currency, **_told(purse, policy)})


async def _created(pipes: Pipes, caller: Caller, body: Mapping[str, Any]) -> dict[str, object]:
    login = text_of(body, "playerExternalId")
    currency = currency_of(body) if body.get("currency") is not None else caller.site.currencies[0]
    personal = _personal(body)
    at = pipes.clock.now()
    site: merchants.Site = caller.site

    async def work(tx: Transaction) -> tuple[str, bool, Purse]:
        return await create_player(tx, site, login, currency, personal, at=at)

    player_id, is_new, purse = await done(pipes, work)
    return {
        "playerCode": player_id,
        "playerExternalId": login,
        "currency": currency,
        "created": is_new,
        "balance": units(caller.policy(), currency)(purse.balance),
    }


def _personal(body: Mapping[str, Any]) -> dict[str, str]:
    """What is told about the person, under the names that the cashier knows."""
    told = {}
    if country := optional(body, "country"):
        if not _COUNTRY.fullmatch(country):
            raise wrong("country", "must be a country code of two letters (ISO 3166)")
        told["user_country"] = country.upper()
    if language := tag_of(body):
        told["language"] = language
    return told


def tag_of(body: Mapping[str, Any]) -> str:
    """The language tag of a body; empty when there is none.

    Raises:
        Refused: VALIDATION.
    """
    language = optional(body, "language")
    if language and not _LANGUAGE.fullmatch(language):
        raise wrong("language", "must be a language tag such as kk or kk-KZ")
    return language


def _told(purse: Purse, policy: Policy) -> dict[str, object]:
    """A wallet's money: `balance` can be played with, `withdrawable` can leave, `total` has what is held."""
    unit = units(policy, purse.currency)
    return {
        "balance": unit(purse.balance),
        "cash": unit(purse.cash),
        "bonus": unit(purse.bonus),
        "held": unit(purse.held),
        "debt": unit(purse.debt),
        "withdrawable": unit(purse.withdrawable),
        "total": unit(purse.balance + purse.held),
        "sequence": purse.sequence,
    }

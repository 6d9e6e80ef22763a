"""What the pages show, asked of the rooms: who is here, what is offered, and how a payment stands."""

import re
from dataclasses import dataclass, replace

from pydantic import BaseModel

from app import merchants, methods, payments, players
from app.cashier import pages
from app.cashier.texts import LANGUAGES, choose_language, translator
from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.money import Money, currency_exponent
from app.plumbing import idempotency
from app.plumbing.database import Reader
from app.plumbing.pipes import Pipes

__all__ = ["DepositForm", "MethodMissing", "Visit", "methods_view", "payment_view", "visit", "wish"]

_FORM_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
_METHOD = re.compile(r"[a-z0-9_]{1,64}")
_FORM_TOKEN_BYTES = 24


class MethodMissing(Refusal):
    """No payment method was chosen."""

    param = "method"


class DepositForm(BaseModel):
    """The form of the deposit page, as the browser sends it."""

    key: str = ""
    form_token: str = ""
    method: str = ""
    amount: str = ""
    lang: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """A player who came with a good key, and what the site offers him."""

    site: merchants.Site
    session: players.Session
    offers: list[methods.Offer]
    key: str
    language: str


async def visit(pipes: Pipes, key: str, lang: str) -> Visit:
    """Let a player in.

    Raises:
        merchants.NotAuthentic: no such key, or it is stale.
    """
    async with pipes.database.transaction() as tx:
        session = await players.use_key(tx, key, now=pipes.clock.now())
        site = await merchants.site(tx, session.player.site_id)
        offers = await methods.offers(tx, site.site_id, session.currency)
    language = choose_language(lang, session.language, offered=_languages(site))
    # What the player chose here goes with the payment: the bank sends back an address without a language.
    return Visit(site, replace(session, language=language), offers, key, language)


def wish(here: Visit, form: DepositForm) -> payments.DepositWish:
    """What the player wants, read from the form.

    Raises:
        MethodMissing, AmountMalformed: a field that cannot be read.
        IdempotencyKeyReused: a form token that is not one.
    """
    if not _FORM_TOKEN.fullmatch(form.form_token):
        raise idempotency.IdempotencyKeyReused
    if not _METHOD.fullmatch(form.method):
        raise MethodMissing
    amount = pages.read_amount(form.amount, here.session.currency, here.language)
    client = {"mobile": "mobile", "native": "native"}.get(here.session.wishes.get("mode", ""), "iframe")
    return payments.DepositWish(form.method, amount, form.form_token, payments.SOURCE_TYPES[client])


def methods_view(
    here: Visit, form: DepositForm | None = None, refusal: Refusal | None = None
) -> pages.MethodsView:
    """The page with the methods: fresh, or as it was sent with what was wrong about it."""
    wishes = here.session.wishes
    arranged = methods.arranged(here.offers, wishes.get("ps_range", ""))
    series = wishes.get("amount_series", "")
    within = [_within(offer, wishes.get("deposit_range", "")) for offer in arranged]
    tiles = [_tile(offer, series) for offer in within if offer is not None]
    last = here.session.player.last_method
    chosen = form.method if form else last if last in {tile.code for tile in tiles} else ""
    return pages.MethodsView(
        site_id=here.site.site_id,
        site_name=here.site.name,
        language=here.language,
        languages=_languages(here.site),
        currency=here.session.currency,
        exponent=currency_exponent(here.session.currency),
        key=here.key,
        form_token=ids.secret(_FORM_TOKEN_BYTES),
        tiles=tiles,
        method=chosen,
        amount=form.amount if form else _suggestion(tiles, series),
        errors={} if refusal is None else _error(refusal, here.language),
        parent_origins=here.site.frame_origins,
    )


async def payment_view(
    reader: Reader, found: payments.Payment, view_token: str, lang: str, *, returned: bool = False
) -> tuple[pages.PaymentView, merchants.Site]:
    """One payment as its player sees it, and the site it belongs to."""
    site = await merchants.site(reader, found.site_id)
    player = await players.player(reader, found.site_id, found.player_id)
    language = choose_language(lang, found.language, offered=_languages(site))
    view = pages.PaymentView(
        site_id=site.site_id,
        site_name=site.name,
        language=language,
        reference=str(found.number),
        method=found.method,
        method_title=methods.CATALOGUE[found.method].title,
        amount=found.amount,
        reason=found.sub_status.value,
        status_url=f"/cashier/payment/{view_token}/status?lang={language}",
        continue_url=found.continue_url,
        again_possible=found.completed_at is not None,
        returned=returned,
        merchant_sentence=found.reason if found.sub_status is payments.SubStatus.REJECTED_BY_MERCHANT else "",
        completed_at=found.completed_at,
        expires_at=found.expires_at,
        time_zone=player.personal.get("timezone", "UTC"),
        parent_origins=site.frame_origins,
    )
    return view, site


def _within(offer: methods.Offer, deposit_range: str) -> methods.Offer | None:
    """The offer within the merchant's limits, or nothing where they leave none."""
    try:
        return methods.narrowed(offer, deposit_range)
    except methods.MethodUnavailable:
        return None


def _tile(offer: methods.Offer, series: str) -> pages.Tile:
    return pages.Tile(
        code=offer.method.code,
        title=offer.method.title,
        group=str(offer.method.group_id),
        icon=offer.method.icon,
        minimum=offer.minimum,
        maximum=offer.maximum,
        quick_amounts=methods.quick_amounts(offer, series),
    )


def _suggestion(tiles: list[pages.Tile], series: str) -> Money | str:
    """The last amount of the merchant's series is preselected (protocol.md section 2.1)."""
    return tiles[0].quick_amounts[-1] if series and tiles and tiles[0].quick_amounts else ""


def _error(refusal: Refusal, language: str) -> dict[str, str]:
    """Which field of the form the refusal stands beside; any other stands above the button."""
    field = refusal.param if refusal.param in {"method", "amount"} else "form"
    return {field: translator(language).refusal(refusal.code, refusal.fields).headline}


def _languages(site: merchants.Site) -> tuple[str, ...]:
    return tuple(code for code in site.languages if code in LANGUAGES) or tuple(LANGUAGES)

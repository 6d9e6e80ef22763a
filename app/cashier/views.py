"""Who is here, and what the page of deposits shows, asked of the rooms."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import AfterValidator, BaseModel

from app import merchants, methods, payments, players
from app.cashier import pages
from app.cashier.texts import LANGUAGES, choose_language, translator
from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.money import Money, currency_exponent
from app.plumbing import idempotency
from app.plumbing.pipes import Pipes

__all__ = [
    "DeedNotOffered",
    "DepositForm",
    "Form",
    "MethodMissing",
    "Typed",
    "Visit",
    "amount_of",
    "form_token",
    "languages",
    "methods_view",
    "source_type",
    "tile",
    "visit",
    "visit_for",
    "wish",
    "within",
]

_FORM_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
_METHOD = re.compile(r"[a-z0-9_]{1,64}")
_HALF_LETTER = re.compile("[\ud800-\udfff]")
_FORM_TOKEN_BYTES = 24
# protocol.md section 2.1: force_action opens one thing, alone or with the way to the other.
_ALONE = {"1": "deposit", "2": "withdraw"}
_FIRST = {**_ALONE, "4": "deposit", "5": "withdraw"}


class MethodMissing(Refusal):
    """No payment method was chosen."""

    param = "method"


class DeedNotOffered(Refusal):
    """The site did not open the cashier to {deed}."""


def _whole(text: str) -> str:
    # Parts of a form can be sent in an encoding that knows halves of letters; no page could show them again.
    if _HALF_LETTER.search(text):
        raise ValueError("half of a letter")
    return text


Typed = Annotated[str, AfterValidator(_whole)]


class Form(BaseModel):
    """What every form that moves money sends."""

    key: Typed = ""
    form_token: Typed = ""
    method: Typed = ""
    amount: Typed = ""
    lang: Typed = ""


class DepositForm(Form):
    """The form of the deposit page, as the browser sends it."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A player who came with a good key, and what the site offers him: to pay in, and to receive money by."""

    site: merchants.Site
    session: players.Session
    offers: list[methods.Offer]
    payout_offers: list[methods.Offer]
    key: str
    language: str

    @property
    def alone(self) -> str:
        """The one thing that the merchant opened the cashier for; nothing where it leaves the choice."""
        return _ALONE.get(self.session.wishes.get("force_action", ""), "")

    @property
    def deeds(self) -> tuple[str, ...]:
        """What he may choose between: one thing where the merchant wants it alone, or offers no other."""
        if self.alone:
            return (self.alone,)
        is_forced = self.session.wishes.get("force_action", "") in _FIRST
        return ("deposit", "withdraw") if self.payout_offers or is_forced else ("deposit",)

    def deed(self, asked: str) -> str:
        """What the page is to show: what the player asked for, if it is there, else the merchant."""
        first = _FIRST.get(self.session.wishes.get("force_action", ""), "deposit")
        return asked if asked in self.deeds else first


async def visit(pipes: Pipes, key: str, lang: str, *, with_offers: bool = True) -> Visit:
    """Let a player in.

    Args:
        pipes: the pipes.
        key: what the merchant obtained for the player.
        lang: the language that the player chose; empty: the session's.
        with_offers: whether a page will show what the site offers.

    Raises:
        merchants.NotAuthentic: no such key, or it is stale.
    """
    async with pipes.database.singly() as tx:
        session, site = await players.use_key(tx, key, now=pipes.clock.now())
        offered = await payments.offered(tx, site, session.currency) if with_offers else []
    ways_in = [one for one in offered if one.direction is methods.Direction.DEPOSIT]
    ways_out = [one for one in offered if one.direction is methods.Direction.PAYOUT]
    language = choose_language(lang, session.language, offered=languages(site))
    # What the player chose here goes with the payment: the bank sends back an address without a language.
    return Visit(site, replace(session, language=language), ways_in, ways_out, key, language)


async def visit_for(pipes: Pipes, form: Form, deed: str) -> Visit:
    """Let a player in who sends a form.

    Where a way to do it is missing, the deed itself says so: a form that was taken before is found again. A
    deposit looks at what is offered itself.

    Raises:
        merchants.NotAuthentic: as `visit`.
        DeedNotOffered: the merchant's `force_action` leaves him the other deed alone.
    """
    here = await visit(pipes, form.key, form.lang, with_offers=deed != "deposit")
    if here.alone not in {"", deed}:
        raise DeedNotOffered(deed=deed)
    return here


def wish(here: Visit, form: DepositForm) -> payments.DepositWish:
    """What the player wants, read from the form.

    Raises:
        MethodMissing, AmountMalformed: a field that cannot be read.
        IdempotencyKeyReused: a form token that is not one.
    """
    amount = amount_of(here, form)
    return payments.DepositWish(form.method, amount, form.form_token, source_type(here))


def amount_of(here: Visit, form: Form) -> Money:
    """The amount of a form whose token and method can be read, too.

    Raises: as `wish`.
    """
    if not _FORM_TOKEN.fullmatch(form.form_token):
        raise idempotency.IdempotencyKeyReused
    if not _METHOD.fullmatch(form.method):
        raise MethodMissing
    return pages.read_amount(form.amount, here.session.currency, here.language)


def form_token() -> str:
    """A token for a fresh form: what is sent with it is one payment, however often it is sent."""
    return ids.secret(_FORM_TOKEN_BYTES)


def source_type(here: Visit) -> int:
    """Which kind of client the player uses (protocol.md section 15)."""
    client = "mobile" if here.session.wishes.get("mode") == "mobile" else "iframe"
    return payments.SOURCE_TYPES[client]


def methods_view(here: Visit, form: Form | None = None, refusal: Refusal | None = None) -> pages.MethodsView:
    """The page with the methods: fresh, or as it was sent with what was wrong about it."""
    wishes = here.session.wishes
    arranged = methods.arranged(here.offers, wishes.get("ps_range", ""))
    series = wishes.get("amount_series", "")
    narrowed = [within(offer, wishes.get("deposit_range", "")) for offer in arranged]
    tiles = [tile(offer, methods.quick_amounts(offer, series)) for offer in narrowed if offer is not None]
    last = here.session.player.last_method
    chosen = form.method if form else last if last in {shown.code for shown in tiles} else ""
    return pages.MethodsView(
        site_id=here.site.site_id,
        site_name=here.site.name,
        language=here.language,
        languages=languages(here.site),
        deeds=here.deeds,
        currency=here.session.currency,
        exponent=currency_exponent(here.session.currency),
        key=here.key,
        form_token=form_token(),
        tiles=tiles,
        method=chosen,
        amount=form.amount if form else _suggestion(tiles, series),
        errors={} if refusal is None else _error(refusal, here.language),
        parent_origins=here.site.frame_origins,
    )


def within(offer: methods.Offer, its_range: str) -> methods.Offer | None:
    """The offer within the merchant's limits, or nothing where they leave none."""
    try:
        return methods.narrowed(offer, its_range)
    except methods.MethodUnavailable:
        return None


def tile(offer: methods.Offer, quick_amounts: Sequence[Money]) -> pages.Tile:
    """A way to pay as it is shown."""
    return pages.Tile(
        code=offer.method.code,
        title=offer.method.title,
        group=str(offer.method.group_id),
        icon=offer.method.icon,
        minimum=offer.minimum,
        maximum=offer.maximum,
        quick_amounts=quick_amounts,
    )


def _suggestion(tiles: list[pages.Tile], series: str) -> Money | str:
    """The last amount of the merchant's series is preselected (protocol.md section 2.1)."""
    return tiles[0].quick_amounts[-1] if series and tiles and tiles[0].quick_amounts else ""


def _error(refusal: Refusal, language: str) -> dict[str, str]:
    """Which field of the form the refusal stands beside; any other stands above the button."""
    field = refusal.param if refusal.param in {"method", "amount"} else "form"
    return {field: translator(language).refusal(refusal.code, refusal.fields).headline}


def languages(site: merchants.Site) -> tuple[str, ...]:
    """The languages that we can show a site's pages in."""
    return tuple(code for code in site.languages if code in LANGUAGES) or tuple(LANGUAGES)

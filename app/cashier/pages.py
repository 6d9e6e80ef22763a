"""What the player's pages show, as plain values, and how they become HTML. Knows no room but the kernel."""

import base64
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.cashier.texts import LANGUAGES, Texts, reason_of, translator
from app.cashier.words import Stage
from app.kernel.money import MAX_MINOR, AmountMalformed, Money, currency_exponent

__all__ = [
    "MethodsView",
    "Part",
    "PaymentView",
    "RefusalView",
    "Tile",
    "content_security_policy",
    "languages_of",
    "read_amount",
    "render",
    "render_methods",
    "render_payment",
    "render_refusal",
    "status_body",
]

STATIC = Path(__file__).parent / "static"
_STATIC_ADDRESS = "/cashier/static"
_MOST_TYPED = 32  # characters: 10**15 minor units, grouped, is 21; beyond this nobody is typing an amount
_SPACES = re.compile("[ \u00a0\u2009\u202f]")  # what people and locales put between thousands
# Seconds between looks at the payment without JavaScript; a page that waits for the player is not in a hurry.
_REFRESH: Mapping[Stage, int] = {"progress": 2, "go_to_provider": 10, "waiting": 10}


@dataclass(frozen=True, slots=True)
class Tile:
    """One way to pay; `group` is the protocol's payment group, its number as text, for the parent window."""

    code: str
    title: str
    group: str
    icon: str
    minimum: Money
    maximum: Money
    quick_amounts: Sequence[Money] = ()


@dataclass(frozen=True, slots=True)
class MethodsView:
    """The page where a player chooses.

    `amount` is a suggestion (`Money`) or what was typed; `errors` holds sentences by field: `method`,
    `amount`, or `form` for what concerns neither.
    """

    site_id: int
    site_name: str
    language: str
    currency: str
    exponent: int
    key: str = field(repr=False)
    form_token: str
    tiles: Sequence[Tile]
    languages: Sequence[str] = tuple(LANGUAGES)
    method: str = ""
    amount: Money | str = ""
    errors: Mapping[str, str] = field(default_factory=dict)
    parent_origins: Sequence[str] = ()
    deeds: Sequence[str] = ("deposit",)
    deed: str = "deposit"


@dataclass(frozen=True, slots=True)
class Part:
    """How much of a withdrawal goes to which of the player's instruments, and why.

    `brief` is the end of a mask, "*4242". `deposited` and `returned` are what came from there and went back
    before; `beyond` is how much of it is more than has to go back anywhere.
    """

    amount: Money
    method: str
    brief: str
    deposited: Money | None = None
    returned: Money | None = None
    beyond: Money | None = None


@dataclass(frozen=True, slots=True)
class PaymentView:
    """One payment as its player sees it.

    `reason` is the sub-status (payments.md section 1.2), or what `withdrawal_words` has besides; stage,
    headline and sentence follow from it. `returned`: the player has been at the provider, so the page does
    not go there again by itself. `page_url` is the page's own address without a language. Of a withdrawal:
    `parts` is what goes where; `asked_for` and `came_back` stand beside an `amount` that is not the whole
    story; `cancel_url` where it may still be taken back; `error` is why it could not be.
    """

    site_id: int
    site_name: str
    language: str
    reference: str
    method: str
    method_title: str
    amount: Money
    reason: str
    status_url: str
    continue_url: str | None = None
    again_possible: bool = False
    returned: bool = False
    merchant_sentence: str = ""
    completed_at: datetime | None = None
    expires_at: datetime | None = None
    time_zone: str = "UTC"
    parent_origins: Sequence[str] = ()
    page_url: str = ""
    languages: Sequence[str] = ()
    kind: str = "deposit"
    parts: Sequence[Part] = ()
    asked_for: Money | None = None
    came_back: Money | None = None
    cancel_url: str | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class RefusalView:
    """A whole page that says no; `code` is one of `texts.REFUSALS`, `request_id` is for the support."""

    language: str
    code: str
    site_name: str = ""
    request_id: str = ""


def render_methods(view: MethodsView) -> str:
    """The page with the methods, the amount and the button, as HTML."""
    texts = translator(view.language)
    amount = texts.number(view.amount) if isinstance(view.amount, Money) else view.amount[:_MOST_TYPED]
    return render(
        "methods.html",
        texts,
        view,
        amount=amount,
        shape=texts.shape(view.currency),
        languages=languages_of(view.languages),
    )


def render_payment(view: PaymentView) -> str:
    """The page of one payment, as HTML: in progress, on to the provider, waiting, done or failed.

    Raises:
        KeyError: `view.reason` is not a known sub-status of its kind.
        ValueError: `view.continue_url` is not an http(s) address.
    """
    texts = translator(view.language)
    reason = reason_of(view.kind, view.reason)
    return render(
        "payment.html",
        texts,
        view,
        stage=reason.stage,
        calm=reason.calm,
        words=texts.reason(view.reason, view.kind),
        continue_url=_continue_url(view),
        refresh_seconds=_REFRESH.get(reason.stage, 0),
        languages=languages_of(view.languages),
    )


def render_refusal(view: RefusalView) -> str:
    """A page that says what is wrong and what to do, as HTML."""
    texts = translator(view.language)
    return render("refusal.html", texts, view, words=texts.refusal(view.code))


def status_body(view: PaymentView) -> dict[str, object]:
    """What the page polls: stage, headline, sentence, continue_url, final.

    Raises:
        KeyError, ValueError: as `render_payment`.
    """
    stage = reason_of(view.kind, view.reason).stage
    words = translator(view.language).reason(view.reason, view.kind)
    return {
        "stage": stage,
        "headline": words.headline,
        "sentence": words.sentence,
        "continue_url": _continue_url(view),
        "final": stage in {"success", "failure"},
    }


def content_security_policy(frame_origins: Collection[str]) -> str:
    """The `Content-Security-Policy` of these pages: nothing inline, nothing foreign, framed only by the site.

    Args:
        frame_origins: the site's registered origins, `https://host[:port]`; with none, nobody may frame it.

    Raises:
        ValueError: an origin that is not exactly scheme, host and port: it could widen or break the policy.
    """
    for origin in frame_origins:
        if not re.fullmatch(r"https?://(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z.-]+)(:[0-9]{1,5})?", origin):
            raise ValueError(f"not an origin: {origin!r}")
    ancestors = " ".join(frame_origins) or "'none'"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        f"form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
    )


def read_amount(text: str, currency: str, language: str) -> Money:
    """Read an amount as a person types it: `1500`, `1 500,50`, `1,500.50`; never guess between two readings.

    A comma or point before three digits groups thousands where the language groups so (English `1,500`), and
    so does a repeated one; otherwise it divides off the fraction, which may not be finer than the currency.
    `1.500` in Russian is therefore refused and not read as 1.5.

    Args:
        text: what stands in the field.
        currency: ISO 4217 code, or one the operator declared.
        language: one of `LANGUAGES`.

    Raises:
        AmountMalformed: not plainly one amount in this currency, or more than 10**15 minor units.
    """
    exponent = currency_exponent(currency)
    group = translator(language).shape(currency).group
    plain = _plain_decimal(text.strip(), group) if len(text) <= _MOST_TYPED else None
    if plain is None:
        raise AmountMalformed(decimals=exponent)
    whole, _, fraction = plain.partition(".")
    if len(fraction) > exponent or int(whole + fraction.ljust(exponent, "0")) > MAX_MINOR:
        raise AmountMalformed(decimals=exponent)
    return Money.parse(plain, currency)


def _plain_decimal(text: str, group: str) -> str | None:
    """`1 500,50` as `1500.50`, or None when it can be read in two ways or not at all."""
    whole, mark, fraction = _divide(_SPACES.sub(" ", text), group)
    grouping = "[ .,]".replace(mark, "") if mark else "[ .,]"
    if not re.fullmatch(rf"[0-9]+|[0-9]{{1,3}}(?:({grouping})[0-9]{{3}}(?:\1[0-9]{{3}})*)", whole):
        return None
    if mark and not re.fullmatch("[0-9]+", fraction):
        return None
    digits = re.sub("[ .,]", "", whole).lstrip("0") or "0"
    return f"{digits}.{fraction}" if mark else digits


def _divide(text: str, group: str) -> tuple[str, str, str]:
    """Split at the decimal mark, if there is one: the last of `,` and `.`, unless it groups thousands."""
    at = max(text.rfind(","), text.rfind("."))
    if at < 0:
        return text, "", ""
    mark = text[at]
    repeated = text.count(mark) > 1
    grouped = mark == group and re.fullmatch("[0-9]{3}", text[at + 1 :]) is not None
    return (text, "", "") if repeated or grouped else (text[:at], mark, text[at + 1 :])


def _continue_url(view: PaymentView) -> str | None:
    if reason_of(view.kind, view.reason).stage != "go_to_provider" or view.continue_url is None:
        return None
    if not re.match(r"https?://[^\s/]", view.continue_url, re.IGNORECASE):
        raise ValueError(
            "continue_url must be an http(s) address"
        )  # a script address would run in our origin
    return view.continue_url


def languages_of(offered: Sequence[str]) -> list[tuple[str, str]]:
    """The languages that a page offers, each with its own name."""
    return [(code, LANGUAGES[code]) for code in offered if code in LANGUAGES]


def render(template: str, texts: Texts, view: object, **values: object) -> str:
    """A template of ours as HTML: `view` under its name, `t` and `_` to speak in the player's language."""
    return _environment().get_template(template).render(_=texts.say, t=texts, view=view, **values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = _asset
    environment.globals["icon_address"] = _icon_address
    return environment


@cache
def _asset(name: str) -> dict[str, str]:
    """Address and integrity of a static file; the address changes with the content, so caches may keep it."""
    content = (STATIC / name).read_bytes()
    digest = base64.b64encode(hashlib.sha384(content).digest()).decode()
    version = hashlib.sha256(content).hexdigest()[:12]
    return {"address": f"{_STATIC_ADDRESS}/{name}?v={version}", "integrity": f"sha384-{digest}"}


@cache
def _icon_address(name: str) -> str:
    drawn = f'id="{name}"' in (STATIC / "icons.svg").read_text()
    return f"{_asset('icons.svg')['address']}#{name if drawn else 'method'}"

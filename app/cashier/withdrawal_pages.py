"""What the pages of a withdrawal show, as plain values, and how they become HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.cashier.pages import Part, Tile, languages_of, render
from app.cashier.texts import translator
from app.kernel.money import Money

__all__ = [
    "DestinationView",
    "FieldView",
    "KnownView",
    "ReviewView",
    "WithdrawView",
    "render_review",
    "render_withdraw",
]

_MOST_TYPED = 32  # characters of an amount, as `pages` has it


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field of a destination.

    `name` is its name in the form, `label` is English, `value` is what stands in it already: of the number
    of a card nothing ever does.
    """

    name: str
    kind: str
    label: str
    value: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class KnownView:
    """A card, account or telephone of the player's: its id, and the end of its mask."""

    instrument_id: str
    brief: str


@dataclass(frozen=True, slots=True)
class DestinationView:
    """Where money can be sent by one method: what is known, which of it is chosen ("": none), the fields."""

    method: str
    known: Sequence[KnownView]
    chosen: str
    fields: Sequence[FieldView]


@dataclass(frozen=True, slots=True)
class WithdrawView:
    """The page where a player chooses how much goes where.

    `available`: what could be withdrawn; None where the merchant keeps the balance. `errors` holds sentences
    by field, as in `MethodsView`, and by the names of the destination's fields.
    """

    site_id: int
    site_name: str
    language: str
    currency: str
    exponent: int
    key: str = field(repr=False)
    form_token: str
    tiles: Sequence[Tile]
    destinations: Sequence[DestinationView]
    available: Money | None
    languages: Sequence[str]
    deeds: Sequence[str] = ("withdraw",)
    deed: str = "withdraw"
    method: str = ""
    amount: Money | str = ""
    errors: Mapping[str, str] = field(default_factory=dict)
    parent_origins: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ReviewView:
    """The page that shows a withdrawal once more before it is asked for.

    `parts` sum to the amount; `chosen` is the instrument's id; `can_cancel` is what the site's policy says.
    """

    site_id: int
    site_name: str
    language: str
    key: str = field(repr=False)
    form_token: str
    method: str
    amount: Money
    chosen: str
    parts: Sequence[Part]
    can_cancel: bool
    languages: Sequence[str]
    parent_origins: Sequence[str] = ()


def render_withdraw(view: WithdrawView) -> str:
    """The page with the methods, the destination and the amount, as HTML."""
    texts = translator(view.language)
    return render(
        "withdraw.html",
        texts,
        view,
        amount=texts.number(view.amount) if isinstance(view.amount, Money) else view.amount[:_MOST_TYPED],
        shape=texts.shape(view.currency),
        titles={tile.code: texts.method(tile.code, tile.title) for tile in view.tiles},
        languages=languages_of(view.languages),
    )


def render_review(view: ReviewView) -> str:
    """The page that asks whether it is right so, as HTML."""
    return render("review.html", translator(view.language), view, languages=languages_of(view.languages))

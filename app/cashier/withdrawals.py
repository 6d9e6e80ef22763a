"""What the pages of a withdrawal show, asked of the rooms, and what their forms mean."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ConfigDict

from app import ledger, methods, payments
from app.cashier import pages, views, withdrawal_pages
from app.cashier.texts import translator
from app.kernel.errors import Refusal
from app.kernel.money import Money, currency_exponent
from app.plumbing.pipes import Pipes

__all__ = ["WithdrawalForm", "reviewed", "status_of", "wish", "withdraw_view"]

_INSTRUMENT = re.compile(r"[a-z0-9_]{1,64}")
_QUICK_MOST = 3  # beside the whole balance
# The same refusals are said otherwise of a withdrawal.
_OTHER_WORDS = {
    "method_missing": "receiving_method_missing",
    "method_unavailable": "receiving_method_unavailable",
}


class WithdrawalForm(views.Form):
    """The form of a withdrawal, as the browser sends it.

    Where the money goes stands in further fields, one set for each method: `to_<method>` is an instrument's
    id, `to_<method>_<field>` what was typed. `change`: from the review back to the form.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, views.Typed]

    change: views.Typed = ""

    @property
    def to(self) -> str:
        """The name of the field that chooses an instrument of the chosen method; it begins the others."""
        return f"to_{self.method}"

    def typed(self, name: str) -> str:
        """What stands in a field of a destination; nothing where it was not sent."""
        return str((self.model_extra or {}).get(name, ""))


@dataclass(frozen=True, slots=True)
class _Means:
    """What a player has: the instruments to which something can be sent, and how much there is."""

    instruments: Sequence[methods.Instrument]
    available: Money | None


def wish(here: views.Visit, form: WithdrawalForm) -> payments.PayoutWish:
    """What the player wants, read from the form.

    Raises:
        MethodMissing, AmountMalformed: a field that cannot be read.
        InstrumentNotFound: what is named as an instrument cannot be one.
        IdempotencyKeyReused: a form token that is not one.
    """
    amount = views.amount_of(here, form)
    chosen = form.typed(form.to)
    if chosen and not _INSTRUMENT.fullmatch(chosen):
        raise methods.InstrumentNotFound
    asked = methods.DESTINATION_FIELDS.get(form.method, ())
    return payments.PayoutWish(
        method=form.method,
        amount=amount,
        form_key=form.form_token,
        source_type=views.source_type(here),
        destination={} if chosen else {one.name: form.typed(_name(form.method, one)) for one in asked},
        instrument_id=chosen,
    )


async def withdraw_view(
    pipes: Pipes,
    here: views.Visit,
    form: WithdrawalForm | None = None,
    refusal: Refusal | None = None,
) -> withdrawal_pages.WithdrawView:
    """The page that asks how much goes where: fresh, or as it was sent with what was wrong about it."""
    has = await _means(pipes, here)
    wishes = here.session.wishes
    arranged = methods.arranged(here.payout_offers, wishes.get("ps_range", ""), methods.Direction.PAYOUT)
    narrowed = [views.within(offer, wishes.get("payout_range", "")) for offer in arranged]
    fitting = [offer for offer in narrowed if offer and offer.method.code in methods.DESTINATION_FIELDS]
    tiles = [views.tile(offer, _quick_amounts(offer, has.available)) for offer in fitting]
    used = [one.method for one in has.instruments if one.method in {tile.code for tile in tiles}]
    return withdrawal_pages.WithdrawView(
        site_id=here.site.site_id,
        site_name=here.site.name,
        language=here.language,
        languages=views.languages(here.site),
        deeds=here.deeds,
        currency=here.session.currency,
        exponent=currency_exponent(here.session.currency),
        key=here.key,
        form_token=views.form_token(),
        tiles=tiles,
        destinations=[_destination(tile.code, has.instruments, form) for tile in tiles],
        available=has.available,
        method=form.method if form else used[0] if used else "",
        amount=form.amount if form else "",
        errors={} if refusal is None or form is None else _errors(refusal, form, here.language, tiles),
        parent_origins=here.site.frame_origins,
    )


async def reviewed(pipes: Pipes, here: views.Visit, form: WithdrawalForm) -> withdrawal_pages.ReviewView:
    """The page that shows a withdrawal once more.

    Raises: as `wish` and `payments.preview_payout`.
    """
    wanted = wish(here, form)
    seen = await payments.preview_payout(pipes, here.session, wanted)
    return withdrawal_pages.ReviewView(
        site_id=here.site.site_id,
        site_name=here.site.name,
        language=here.language,
        key=here.key,
        form_token=form.form_token,
        method=wanted.method,
        amount=wanted.amount,
        chosen=seen.instrument_id,
        parts=[_part(part) for part in seen.parts],
        can_cancel=seen.rules.player_may_cancel,
        languages=views.languages(here.site),
        parent_origins=here.site.frame_origins,
    )


def status_of(refusal: Refusal) -> int:
    """The status of a form that comes back: 402 where the money does not reach, 422 for all else."""
    return 402 if isinstance(refusal, ledger.InsufficientFunds) else 422


async def _means(pipes: Pipes, here: views.Visit) -> _Means:
    player = here.session.player
    async with pipes.database.reading() as reader:
        known = await methods.instruments(reader, player.site_id, player.player_id)
        there = await payments.available(reader, player.site_id, player.player_id, here.session.currency)
    return _Means([one for one in known if one.fields], there)


def _quick_amounts(offer: methods.Offer, available: Money | None) -> list[Money]:
    """Round amounts that the player has, and all of it at the end."""
    round_ones = methods.quick_amounts(offer, "")
    if available is None:
        return round_ones
    smaller = [amount for amount in round_ones if amount < available][:_QUICK_MOST]
    return [*smaller, available] if offer.minimum <= available <= offer.maximum else smaller


def _destination(
    method: str, instruments: Sequence[methods.Instrument], form: WithdrawalForm | None
) -> withdrawal_pages.DestinationView:
    known = [one for one in instruments if one.method == method]
    chosen = known[0].instrument_id if known else ""
    if form is not None and form.method == method:
        wanted = form.typed(form.to)
        chosen = wanted if wanted in {one.instrument_id for one in known} else ""
    return withdrawal_pages.DestinationView(
        method=method,
        known=[withdrawal_pages.KnownView(one.instrument_id, one.brief) for one in known],
        chosen=chosen,
        fields=[_field(method, one, form) for one in methods.DESTINATION_FIELDS[method]],
    )


def _field(
    method: str, one: methods.DestinationField, form: WithdrawalForm | None
) -> withdrawal_pages.FieldView:
    name = _name(method, one)
    # The number of a card is never written into a page, not even back to whoever typed it.
    is_shown = form is not None and one.kind is not methods.FieldKind.CARD_NUMBER
    value = form.typed(name) if form is not None and is_shown else ""
    return withdrawal_pages.FieldView(name, one.kind.value, one.label, value)


def _name(method: str, one: methods.DestinationField) -> str:
    return f"to_{method}_{one.name}"


def _errors(
    refusal: Refusal, form: WithdrawalForm, language: str, tiles: Sequence[pages.Tile]
) -> Mapping[str, str]:
    """Which field of the form the refusal stands beside; any other stands above the button."""
    if form.method and form.method not in {tile.code for tile in tiles}:
        refusal = methods.MethodUnavailable(method=form.method)  # its fields are not on the page
    code = _OTHER_WORDS.get(refusal.code, refusal.code)
    if isinstance(refusal, methods.BadDestination):
        code = f"{refusal.code}_{refusal.rule.value}"
    sentence = translator(language).refusal(code, refusal.fields).headline
    asked = {one.name for one in methods.DESTINATION_FIELDS.get(form.method, ())}
    match refusal.param:
        case "method" | "amount" as field:
            return {field: sentence}
        case "instrument_id":
            return {form.to: sentence}
        case str(field) if field in asked:
            return {f"{form.to}_{field}": sentence}
        case _:
            return {"amount" if isinstance(refusal, ledger.InsufficientFunds) else "form": sentence}


def _part(part: payments.PayoutPart) -> pages.Part:
    return pages.Part(
        part.amount,
        part.instrument.method,
        part.instrument.brief,
        part.deposited,
        part.returned,
        part.beyond,
    )

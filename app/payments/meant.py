"""Which try of a payment people speak of when they decide a case, and what stands against it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.payments.cascade import may_be_paid, try_meant, why_doubted
from app.payments.casebook import Case
from app.payments.legs import attempts_of, legs_of, present_try, present_try_of
from app.payments.model import CaseKind
from app.payments.proposals import Proposal, Resolution
from app.payments.queries import Attempt, Payment
from app.payments.states import Kind, LegState, SubStatus
from app.plumbing.database import Transaction

__all__ = [
    "Meant",
    "ResolutionImpossible",
    "by_our_reference",
    "check_number",
    "check_rest",
    "doubted_try",
    "impossible",
    "meant_try",
    "other_of_case",
    "present_of",
]

# Where "not paid" is no news of the order: it waits to be sent again, or has failed.
_NOTHING_MOVES: Final = frozenset(
    {
        *(LegState.PLANNED.value, SubStatus.APPROVED.value),
        *(SubStatus.DECLINED.value, SubStatus.UNDELIVERABLE.value, SubStatus.PROVIDER_ERROR.value),
        *(SubStatus.EXPIRED.value, SubStatus.BY_OPERATOR.value, SubStatus.BY_PLAYER.value),
    }
)
_ABOUT_A_TRY: Final = frozenset({Resolution.PAID, Resolution.NOT_PAID, Resolution.ACCEPTED})


class ResolutionImpossible(Refusal):
    """It cannot be resolved as {resolution}: {why}."""


@dataclass(frozen=True, slots=True)
class Meant:
    """The try that people speak of.

    Args:
        attempt: the try.
        ordered: what the provider was asked for: all of the payment, or of the part of a withdrawal.
        number: the provider's number of it; None where none is known.
        is_other: another try than the present one.
    """

    attempt: Attempt
    ordered: Money
    number: str | None
    is_other: bool = False


async def present_of(tx: Transaction, its: Case, found: Payment, proposal: Proposal) -> Meant:
    """The present try of what it is about.

    Of a withdrawal in several parts: of the one that is named, or that the case is about.
    """
    tries = await attempts_of(tx, found)
    parts = {part.leg: part for part in await legs_of(tx, found)}
    own = [one.leg for one in tries if one.attempt_id == its.attempt_id]
    leg = own[0] if own and proposal.leg is None else proposal.leg
    about = [one for one in tries if leg is None or one.leg == leg]
    if not about or len({one.leg for one in about}) > 1:
        why = "name the part of the withdrawal that it is about" if about else "nothing was sent"
        raise impossible(proposal, why)
    if about[-1].leg is None:
        return Meant(present_try_of(found, about), found.amount, found.provider_reference)
    part = parts[about[-1].leg]
    return Meant(present_try(part, about), part.amount, part.provider_reference)


async def meant_try(tx: Transaction, its: Case, found: Payment, proposal: Proposal) -> Meant:
    """The try that they speak of.

    It is the one that the case is about, unless they name the number of another. What is known of the present
    one stands against it, unless that came back or was taken again.
    """
    now = await present_of(tx, its, found, proposal)
    present, known = now.attempt, now.number
    parts = [part for part in await legs_of(tx, found) if part.leg == present.leg]
    is_undone = found.sub_status is SubStatus.REVERSED or LegState.RETURNED in {one.state for one in parts}
    is_second = its.kind is CaseKind.SECOND_PAYMENT and (is_undone or its.about != known)
    number = proposal.provider_reference or (its.about if is_second or known is None else "")
    tries = [one for one in await attempts_of(tx, found) if one.leg == present.leg]
    own = next((one for one in tries if one.attempt_id == its.attempt_id), None)
    meant = try_meant(tries, present, number, known, is_earlier=is_second)
    if own is not None and _speaks_of(own, tries, proposal):
        meant, number = own, number or own.provider_reference or ""
    if meant.attempt_id == present.attempt_id:
        if is_second and len({one.account for one in tries}) > 1:
            check_number(proposal, known, number or "another's")  # it may be any account's
        return now
    _check_was_paid(proposal, meant)
    if proposal.resolution is Resolution.NOT_PAID:
        return Meant(meant, now.ordered, meant.provider_reference, is_other=True)
    if known is not None and not is_undone:
        check_number(proposal, known, number or "another's")
    if not number and known is not None:
        raise impossible(proposal, f"name the provider's number of it at {meant.account}")
    return Meant(meant, now.ordered, meant.provider_reference, is_other=True)


def _speaks_of(own: Attempt, tries: Sequence[Attempt], proposal: Proposal) -> bool:
    """Whether the number that they name is the case's own try's, or may be; they need name none."""
    numbers = {one.provider_reference for one in tries}
    number = proposal.provider_reference
    return number in {"", own.provider_reference} or (
        own.provider_reference is None and number not in numbers
    )


def _check_was_paid(proposal: Proposal, other: Attempt) -> None:
    """Of another try than the present one nothing was counted: there is nothing to take back.

    But a question about it may end, or what its provider has said, for which the present one waits.
    """
    if proposal.resolution is Resolution.NOT_PAID and not _is_doubted(other):
        why = f"it is about another attempt at {other.account}, of which nothing was counted: note it"
        raise impossible(proposal, why)


async def doubted_try(
    tx: Transaction, its: Case, found: Payment, proposal: Proposal, meant: Meant
) -> Attempt | None:
    """The try that they say was not paid, where that moves nothing, and what was said of it held others back.

    Another than the present one; or the present one, while it waits to be sent again or has failed. Where
    neither the case nor a number says which, the only one of which there is something of the kind. None where
    it ends the present one.

    Raises:
        ResolutionImpossible: it is none of them, or it could be several: what is not cleared stays held; or
            what is held would be given back while another one may be paid.
    """
    if meant.is_other:
        return meant.attempt
    parts = {part.leg: part.state for part in await legs_of(tx, found)}
    state: str = parts[meant.attempt.leg] if meant.attempt.leg is not None else found.sub_status
    its_tries = [one for one in await attempts_of(tx, found) if one.leg == meant.attempt.leg]
    if state not in _NOTHING_MOVES:
        _check_ends(proposal, found, meant, its_tries)
        return None
    doubted = [one for one in its_tries if _is_doubted(one)]
    if proposal.provider_reference:
        named = [one for one in _numbered(its, its_tries, proposal.provider_reference) if one in doubted]
        if doubted and not named:
            why = f"{proposal.provider_reference} is not the number of a try of it that is doubted"
            raise impossible(proposal, f"{why}: name {_names(doubted)}")
        return named[0] if named else None
    if its.attempt_id is not None:
        return meant.attempt if meant.attempt in doubted else None
    if len(doubted) > 1:
        raise impossible(proposal, f"more than one try of it is doubted: name one, {_names(doubted)}")
    return doubted[0] if doubted else None


def _check_ends(proposal: Proposal, found: Payment, meant: Meant, tries: Sequence[Attempt]) -> None:
    """Refuse to end the present try by a number that is not its own, or while another one may be paid.

    A deposit ends nevertheless: nothing is held for it, and who said that it was paid is asked.
    """
    present, number = meant.attempt, proposal.provider_reference
    doubted = [one for one in tries if may_be_paid(one) and one.attempt_id != present.attempt_id]
    own = {meant.number, present.provider_reference} - {None}
    if number and number not in own and (own or doubted):
        why = f"{number} is the number of no try of it"
        raise impossible(proposal, f"{why}: name {_names([present, *doubted])}")
    if doubted and found.kind is not Kind.DEPOSIT:
        why = why_doubted(doubted, besides=present.attempt_id)
        raise impossible(proposal, f"{why}: decide about that one first, name {_names(doubted)}")


async def check_rest(tx: Transaction, found: Payment, proposal: Proposal, meant: Meant) -> None:
    """Refuse a smaller sum than was ordered while another try of the same may be paid.

    The rest would be the player's again. Of what came back, or is not held, nothing is given back by it.

    Args:
        tx: holds the payment's lock.
        found: a withdrawal or refund.
        proposal: what people say that really went.
        meant: the try by which it did.

    Raises:
        ResolutionImpossible: they must decide about the other one first.
    """
    assert proposal.amount is not None
    its, leg = meant.attempt.attempt_id, meant.attempt.leg
    # What was given back before it was in conflict holds nothing: what is accepted of it is taken.
    held: list[str] = [found.sub_status] if leg is None and found.completed_at is None else []
    held += [part.state for part in await legs_of(tx, found) if part.leg == leg and not part.is_released]
    if proposal.amount >= meant.ordered or SubStatus.CONFLICTED not in held:
        return
    others = [one for one in await attempts_of(tx, found) if one.leg == leg and one.attempt_id != its]
    doubted = [one for one in others if may_be_paid(one)]
    if doubted:
        why = (
            f"{meant.ordered - proposal.amount} would be given back, and {why_doubted(doubted, besides=its)}"
        )
        raise impossible(proposal, f"{why}: decide about that one first, name {_names(doubted)}")


async def other_of_case(tx: Transaction, its: Case, found: Payment, proposal: Proposal) -> Meant | None:
    """The try of a deposit that the case is about, where it is another than the present one.

    None where it is the present one, or none, or they name the number of another.

    Args:
        tx: holds the payment's lock.
        its: the case.
        found: the deposit.
        proposal: what people say.

    Raises:
        ResolutionImpossible: it has no number, and they name none: that of the present one is not its own.
    """
    tries = await attempts_of(tx, found) if its.attempt_id is not None else []
    own = next((one for one in tries if one.attempt_id == its.attempt_id), None)
    if own is None or own == present_try_of(found, tries) or not _speaks_of(own, tries, proposal):
        return None
    number = proposal.provider_reference or own.provider_reference or its.about
    if not number:
        raise impossible(proposal, f"name the provider's number of it at {own.account}")
    return Meant(own, found.amount, number, is_other=True)


def _numbered(its: Case, tries: Sequence[Attempt], number: str) -> list[Attempt]:
    """The one try whose number it is; one that nobody knows is that of the only try that has none."""
    known = [one for one in tries if one.provider_reference == number]
    nameless = [one for one in tries if one.provider_reference is None]
    found = known or nameless
    is_of_case = its.attempt_id in {None, *(one.attempt_id for one in found)}
    return found if len(found) == 1 and (known or is_of_case) else []


def _names(tries: Sequence[Attempt]) -> str:
    """By what people can name these tries: the provider's number, or where it has none our reference."""
    return " or ".join(one.provider_reference or one.attempt_id for one in tries)


def _is_doubted(one: Attempt) -> bool:
    """As what holds others back: `said_paid`, whatever it says now."""
    return one.is_questioned or one.said_paid


async def by_our_reference(
    tx: Transaction, its: Case, found: Payment, proposal: Proposal
) -> tuple[Case, Proposal]:
    """The case and the proposal where people name a try by our own reference of it: it is about that one.

    Not every provider has a number of its own, or tells it.

    Raises:
        ResolutionImpossible: it is a try of another part than the one that they name; or a deposit is to be
            credited with another sum by an earlier try whose number nobody knows.
    """
    number = proposal.provider_reference
    tries = await attempts_of(tx, found) if number and proposal.resolution in _ABOUT_A_TRY else []
    one = next((one for one in tries if one.attempt_id == number), None)
    if one is None:
        return its, proposal
    if proposal.leg not in {None, one.leg}:
        raise impossible(proposal, f"{number} is a try of part {one.leg}")
    is_credit = found.kind is Kind.DEPOSIT and proposal.resolution is Resolution.ACCEPTED
    if is_credit and one.provider_reference is None and one != present_try_of(found, tries):
        raise impossible(proposal, f"{number} has no number of its provider's: name the one in the proof")
    about_it = replace(its, attempt_id=one.attempt_id, about=one.provider_reference or "")
    return about_it, replace(proposal, provider_reference=one.provider_reference or "")


def check_number(proposal: Proposal, known: str | None, number: str = "") -> None:
    """Refuse another number of the provider than the one that is known.

    Raises:
        ResolutionImpossible: it is another payment.
    """
    if known is not None and (number or proposal.provider_reference) not in {"", known}:
        raise impossible(proposal, f"the provider's number of it is {known}, and another is another payment")


def impossible(proposal: Proposal, why: str) -> ResolutionImpossible:
    """The refusal of a decision that cannot be carried out, with the reason in words."""
    return ResolutionImpossible(resolution=proposal.resolution.value, why=why)

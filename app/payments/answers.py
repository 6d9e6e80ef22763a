"""What is kept of a provider's word beside the try that it is about."""

from datetime import datetime

from sqlalchemy import Boolean, Text, and_, bindparam, case, func, null, or_, update

from app import providers
from app.payments.model import BY_PEOPLE, CAME_BACK, Decided, Source
from app.payments.tables import attempts
from app.plumbing.database import Built, Write

__all__ = ["answer_of"]

_ITS = (attempts.c.site_id == bindparam("of_site")) & (attempts.c.attempt_id == bindparam("of_attempt"))
_SAID = ("state", "provider_reference", "error_code", "error", "answer", "answered_at")
# What says nothing of an order, and so replaces nothing that was said of it.
_DOUBTS = frozenset({providers.State.UNKNOWN, providers.State.NOT_FOUND})
_in_doubt = or_(attempts.c.state.is_(None), *(attempts.c.state == one.value for one in sorted(_DOUBTS)))
_no_number = attempts.c.provider_reference.is_(None)  # who told one has had the order
_nothing_said = and_(_in_doubt, _no_number, ~attempts.c.was_spoken_of)
# Built once: every step of a payment at its provider runs one of them.
_ANSWER = Built(update(attempts).where(_ITS))
_DOUBT = Built(
    update(attempts)
    .where(_ITS)
    .values(
        is_over=attempts.c.is_over | bindparam("now_over", type_=Boolean),
        was_spoken_of=attempts.c.was_spoken_of | bindparam("now_spoken_of", type_=Boolean),
        **{
            name: case(
                (_nothing_said, bindparam(f"doubt_{name}", type_=attempts.c[name].type)),
                else_=attempts.c[name],
            )
            for name in _SAID
            if name != "provider_reference"
        },
        # A number is never taken back by a doubt, and may come with a second one.
        provider_reference=case(
            (
                _in_doubt,
                func.coalesce(
                    attempts.c.provider_reference,
                    bindparam("doubt_provider_reference", type_=attempts.c.provider_reference.type),
                ),
            ),
            else_=attempts.c.provider_reference,
        ),
    )
)
# Neither a number nor a sum is taken back by a word that tells none.
_told = {
    name: func.coalesce(bindparam(f"word_{name}", type_=attempts.c[name].type), attempts.c[name])
    for name in ("provider_reference", "told_minor", "told_currency")
}
_is_same = {name: told.is_not_distinct_from(attempts.c[name]) for name, told in _told.items()}
# The very word of which people have decided that it is not true, once more: it is no news. That a part of it
# came back is, the first time: the rest has gone.
_is_denied = and_(
    attempts.c.decided == Decided.NOT_PAID,
    or_(~bindparam("now_short", type_=Boolean), attempts.c.came_back_short),
    attempts.c.state.is_not_distinct_from(bindparam("word_state", type_=Text)),  # of some nothing was heard
    _is_same["provider_reference"],
    or_(attempts.c.told_minor.is_(None), and_(_is_same["told_minor"], _is_same["told_currency"])),
)
_by_people = bindparam("word_decided", type_=Text)
# The success that people deny stays what its provider said, to be known when it is told once more.
_denies = bindparam("now_denied", type_=Boolean)
_is_kept = and_(_denies, attempts.c.state == providers.State.SUCCEEDED)
# What was paid by their word is so until it comes back, which is another matter.
_is_still_paid = and_(attempts.c.decided == Decided.PAID, ~bindparam("now_back", type_=Boolean))
_WORD = Built(
    update(attempts)
    .where(_ITS)
    .values(
        **{
            name: case(
                (_is_kept, attempts.c[name]),
                else_=bindparam(f"word_{name}", type_=attempts.c[name].type),
            )
            for name in ("state", "error_code", "error")
        },
        **_told,
        said_paid=(attempts.c.said_paid & ~_denies)
        | (or_(_by_people.is_not(None), ~_is_denied) & bindparam("now_paid", type_=Boolean)),
        came_back_short=attempts.c.came_back_short | bindparam("now_short", type_=Boolean),
        decided=case(
            (_by_people.is_not(None), _by_people),
            (or_(_is_denied, _is_still_paid), attempts.c.decided),
            else_=null(),
        ),
    )
)
_UNHEARD_OF = Built(update(attempts).where(_ITS, ~attempts.c.is_over, _nothing_said))
# What people have decided by a word that they let count with the highest rank.
_DECIDED = {
    providers.State.SUCCEEDED: Decided.PAID,
    **dict.fromkeys((providers.State.FAILED, providers.State.CANCELLED), Decided.NOT_PAID),
}
_BACK = frozenset({providers.State.RETURNED, providers.State.REVERSED})
# Of an order that was ever said to stand so money has moved.
_MOVED = _BACK | {providers.State.SUCCEEDED}


def answer_of(
    site_id: int,
    reference: str,
    result: providers.Result,
    source: Source,
    *,
    is_over: bool,
    at: datetime,
    is_questioned: bool | None = None,
) -> tuple[Write, ...]:
    """What keeps the provider's word beside the try it is about.

    A doubt replaces nothing definite: what was told while our call ran is not undone by its time-out, or a
    decline would look like an order that never left us. That its provider does not know the order is kept of
    a try that is not over, until there is another word. A doubt that its provider has told of itself, by a
    number or in a notice, is kept whoever asked: it has the order. `is_questioned` where a question about the
    try opens or ends with it; no doubt about sending does either.

    Returns:
        one write, or none: those of a step run as one statement, where a second to the same row is lost.
    """
    is_doubt = result.state in _DOUBTS
    is_unheard_of = result.state is providers.State.NOT_FOUND
    its = {"of_site": site_id, "of_attempt": reference}
    ends = {"is_over": True} if is_over else {}
    if is_questioned is not None:
        ends["is_questioned"] = is_questioned
    is_told = result.state is providers.State.UNKNOWN and (
        result.provider_reference is not None or source is Source.NOTICE
    )
    is_kept = is_told or source is Source.ANSWER
    if is_doubt and not is_kept and (ends or not is_unheard_of):
        return ((_ANSWER, {**ends, **its}),) if ends else ()
    error = result.error
    words = (error.code if error else "", error.message if error else "")
    said: dict[str, object] = dict(
        zip(_SAID, (result.state, result.provider_reference, *words, dict(result.raw), at), strict=True)
    )
    if is_doubt and not is_kept:
        return ((_UNHEARD_OF, {**said, **its}),)
    if is_doubt:
        doubt = {f"doubt_{name}": value for name, value in said.items()}
        ends.pop("is_over", None)
        return ((_DOUBT, {**doubt, "now_over": is_over, "now_spoken_of": is_told, **ends, **its}),)
    own = ("state", "provider_reference", "error_code", "error")
    is_short = error is not None and error.code == CAME_BACK
    told = None if is_short else result.amount  # of a part that came back it is not what was paid
    word = {f"word_{name}": said.pop(name) for name in own}
    word |= {
        "word_told_minor": told.minor if told else None,
        "word_told_currency": told.currency if told else None,
        "word_decided": _DECIDED.get(result.state) if source is Source.SETTLEMENT else None,
        "now_paid": result.state in _MOVED,
        "now_back": result.state in _BACK,
        "now_short": is_short,
        "now_denied": source is Source.SETTLEMENT and error is not None and error.code == BY_PEOPLE,
    }
    return ((_WORD, {**said, **word, **ends, **its}),)

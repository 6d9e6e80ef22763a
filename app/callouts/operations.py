"""Asking the merchant: one attempt inside a deadline, written down before and after."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import bindparam, update

from app import merchants
from app.callouts.model import (
    Answer,
    CalloutState,
    DepositQuestion,
    PayoutQuestion,
    check_deposit_fields,
    read_check_deposit,
    read_request_payout,
    request_payout_fields,
)
from app.callouts.tables import callouts
from app.kernel import ids
from app.kernel.masking import mask_excerpt, mask_value
from app.plumbing import messages, metrics
from app.plumbing.database import Built, Database, Write
from app.plumbing.http import CallFailed, Reply
from app.plumbing.pipes import Pipes

__all__ = [
    "Callout",
    "Heard",
    "answer_to",
    "check_deposit",
    "deposit_question",
    "request_payout",
    "write_answer",
]

DEADLINE_SECONDS = 5.0  # protocol.md section 15
# A merchant who takes all of that has as many questions as the bulkhead lets through (16): the others give
# the worker's places (40) back to the other sites' payments.
_PATIENCE_SECONDS = 1.0
_KEPT_MARKS = 20_000  # of a masked answer
# Built once.
_QUESTION = Built(callouts.insert())
_ANSWER = Built(
    update(callouts).where(
        callouts.c.site_id == bindparam("of_site"), callouts.c.callout_id == bindparam("of_callout")
    )
)


@dataclass(frozen=True, slots=True)
class Callout:
    """A question as it is written down, and as it goes out."""

    site_id: int
    callout_id: str
    url: str
    message: messages.SignedMessage
    read: Callable[[int, bytes], Answer]


@dataclass(frozen=True, slots=True)
class Heard:
    """What the merchant answered, to be written beside the question; `reply` is None where nothing came."""

    callout: Callout
    answer: Answer
    reply: Reply | None


def deposit_question(
    site: merchants.Site, question: DepositQuestion, *, at: datetime
) -> tuple[Callout, tuple[Write, ...]]:
    """The question whether a player may pay in, and what keeps it: written with the deposit itself."""
    fields = check_deposit_fields(site.site_id, question)
    return _written_down(site, question.payment_id, fields, read_check_deposit, at)


async def check_deposit(pipes: Pipes, callout: Callout) -> Heard:
    """Ask whether the player may pay in. No transaction may be open; its `answer_to` is written afterwards.

    Returns:
        Accepted with the merchant's order number, refused with its reason, or unknown: asked and not
        understood.
    """
    return await _asked(pipes, callout)


async def request_payout(pipes: Pipes, site: merchants.Site, question: PayoutQuestion) -> Answer:
    """Ask whether the player may withdraw. No transaction may be open.

    After an unknown answer the same question is asked again, under the same `transaction_id`: the merchant
    may have taken the first one.

    Returns:
        Accepted with the merchant's order number, without funds, refused with its reason, or unknown: asked
        and not understood.
    """
    fields = request_payout_fields(site.site_id, question)
    now = pipes.clock.now()
    async with pipes.database.transaction() as tx:
        callout, its_rows = _written_down(site, question.payment_id, fields, read_request_payout, now)
        await tx.write(*its_rows)
    heard = await _asked(pipes, callout, patience_seconds=_PATIENCE_SECONDS)
    await write_answer(pipes.database, heard, at=pipes.clock.now())
    return heard.answer


def answer_to(heard: Heard, *, at: datetime) -> Write:
    """What keeps the merchant's answer beside its question, masked."""
    reply, answer = heard.reply, heard.answer
    text = mask_excerpt(reply.body, _KEPT_MARKS) if reply else ""
    callout = heard.callout
    written = {
        "of_site": callout.site_id,
        "of_callout": callout.callout_id,
        "state": answer.state,
        "http_status": reply.status if reply else None,
        "answer": text,
        "external_id": answer.external_id,
        "reason": answer.reason,
        "elapsed_ms": reply.elapsed_ms if reply else None,
        "answered_at": at,
    }
    return _ANSWER, written


async def write_answer(database: Database, heard: Heard, *, at: datetime) -> None:
    """Write the merchant's answer in a transaction of its own."""
    await database.write(answer_to(heard, at=at))


async def _asked(pipes: Pipes, callout: Callout, *, patience_seconds: float | None = None) -> Heard:
    reply: Reply | None = None
    try:
        reply = await pipes.http.call(
            "POST",
            callout.url,
            body=callout.message.body,
            headers=callout.message.headers,
            deadline_seconds=DEADLINE_SECONDS,
            # A line of its own: the breaker that a dead webhook address opened, or another site's wrong path
            # at the same host, refuses no payment.
            peer=f"callouts {callout.site_id} {urlsplit(callout.url).netloc}",
            patience_seconds=patience_seconds,
        )
        answer = callout.read(reply.status, reply.body)
    except CallFailed as failed:
        answer = Answer(CalloutState.UNKNOWN, reason=f"no answer: {failed.kind.value}")
    metrics.CALLS.labels("merchant", answer.state.value).inc()
    return Heard(callout, answer, reply)


def _written_down(
    site: merchants.Site,
    payment_id: str,
    fields: Mapping[str, str | int],
    read: Callable[[int, bytes], Answer],
    at: datetime,
) -> tuple[Callout, tuple[Write, ...]]:
    callout_id = ids.new("cal", at=at)
    message = messages.signed(
        fields,
        salt=site.signing_salt,
        dialect=site.dialect,
        as_form=site.message_format is merchants.MessageFormat.FORM,
        webhook_secret=site.webhook_secret,
        message_id=callout_id,
        at=at,
    )
    question = {
        "site_id": site.site_id,
        "callout_id": callout_id,
        "payment_id": payment_id,
        "action": fields["action"],
        "url": site.callout_url,
        "request": mask_value(dict(fields)),
        "sent_at": at,
    }
    issued = merchants.issued_signature(site.site_id, message.signature, at=at)
    callout = Callout(site.site_id, callout_id, site.callout_url, message, read)
    return callout, ((_QUESTION, question), issued)

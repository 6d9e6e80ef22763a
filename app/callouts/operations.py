"""Asking the merchant: one attempt inside a deadline, written down before and after."""

from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import update

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
from app.plumbing.database import Transaction
from app.plumbing.http import CallFailed, Reply
from app.plumbing.pipes import Pipes

__all__ = ["check_deposit", "request_payout"]

DEADLINE_SECONDS = 5.0  # protocol.md section 15
_KEPT_MARKS = 20_000  # of a masked answer


async def check_deposit(pipes: Pipes, site: merchants.Site, question: DepositQuestion) -> Answer:
    """Ask whether the player may pay in. No transaction may be open.

    Returns:
        Accepted with the merchant's order number, refused with its reason, or unknown: asked and not
        understood.
    """
    fields = check_deposit_fields(site.site_id, question)
    return await _asked(pipes, site, question.payment_id, fields, read_check_deposit)


async def request_payout(pipes: Pipes, site: merchants.Site, question: PayoutQuestion) -> Answer:
    """Ask whether the player may withdraw. No transaction may be open.

    After an unknown answer the same question is asked again, under the same `transaction_id`: the merchant
    may have taken the first one.

    Returns:
        Accepted with the merchant's order number, without funds, refused with its reason, or unknown: asked
        and not understood.
    """
    fields = request_payout_fields(site.site_id, question)
    return await _asked(pipes, site, question.payment_id, fields, read_request_payout)


async def _asked(
    pipes: Pipes,
    site: merchants.Site,
    payment_id: str,
    fields: Mapping[str, str | int],
    read: Callable[[int, bytes], Answer],
) -> Answer:
    callout_id = ids.new("cal", at=pipes.clock.now())
    message = messages.signed(
        fields,
        salt=site.signing_salt,
        dialect=site.dialect,
        as_form=site.message_format is merchants.MessageFormat.FORM,
        webhook_secret=site.webhook_secret,
        message_id=callout_id,
        at=pipes.clock.now(),
    )
    async with pipes.database.transaction() as tx:
        await merchants.remember_issued_signature(tx, site.site_id, message.signature, at=pipes.clock.now())
        await _write_sent(tx, site, callout_id, payment_id, fields, pipes.clock.now())
    reply: Reply | None = None
    try:
        reply = await pipes.http.call(
            "POST",
            site.callout_url,
            body=message.body,
            headers=message.headers,
            deadline_seconds=DEADLINE_SECONDS,
            # A line of its own: the breaker that a site's dead webhook address opened refuses no payment.
            peer=f"callouts {urlsplit(site.callout_url).netloc}",
        )
        answer = read(reply.status, reply.body)
    except CallFailed as failed:
        answer = Answer(CalloutState.UNKNOWN, reason=f"no answer: {failed.kind.value}")
    metrics.CALLS.labels("merchant", answer.state.value).inc()
    async with pipes.database.transaction() as tx:
        await _write_answer(tx, site.site_id, callout_id, answer, reply, pipes.clock.now())
    return answer


async def _write_sent(
    tx: Transaction,
    site: merchants.Site,
    callout_id: str,
    payment_id: str,
    fields: Mapping[str, str | int],
    at: datetime,
) -> None:
    await tx.execute(
        callouts.insert().values(
            site_id=site.site_id,
            callout_id=callout_id,
            payment_id=payment_id,
            action=fields["action"],
            url=site.callout_url,
            request=mask_value(dict(fields)),
            sent_at=at,
        )
    )


async def _write_answer(
    tx: Transaction, site_id: int, callout_id: str, answer: Answer, reply: Reply | None, at: datetime
) -> None:
    text = mask_excerpt(reply.body, _KEPT_MARKS) if reply else ""
    await tx.execute(
        update(callouts)
        .where(callouts.c.site_id == site_id, callouts.c.callout_id == callout_id)
        .values(
            state=answer.state,
            http_status=reply.status if reply else None,
            answer=text,
            external_id=answer.external_id,
            reason=answer.reason,
            elapsed_ms=reply.elapsed_ms if reply else None,
            answered_at=at,
        )
    )

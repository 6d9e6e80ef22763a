"""How a payment stands, as its player may see it, asked of the rooms."""

from dataclasses import dataclass, replace

from app import callouts, merchants, methods, payments, players
from app.cashier import pages, views
from app.cashier.texts import choose_language, translator
from app.kernel.errors import Refusal
from app.plumbing.database import Reader
from app.plumbing.pipes import Pipes

__all__ = ["Seen", "look", "with_error"]

S = payments.SubStatus


@dataclass(frozen=True, slots=True)
class Seen:
    """A payment, what its player sees of it, and the site it belongs to.

    `is_worth_asking`: that somebody looks is a reason to ask the provider.
    """

    payment: payments.Payment
    view: pages.PaymentView
    site: merchants.Site

    @property
    def is_worth_asking(self) -> bool:
        """A deposit, when the browser comes back: it proves nothing. A withdrawal, while it is on its way."""
        if self.payment.kind is payments.Kind.PAYOUT:
            return self.payment.status is payments.Status.PROCESSING
        return self.view.returned and self.payment.completed_at is None


async def look(pipes: Pipes, view_token: str, lang: str, *, returned: bool = False) -> Seen:
    """One payment as its player sees it now.

    Raises:
        payments.PaymentNotFound: not a token of ours.
    """
    async with pipes.database.reading() as reader:
        found = await payments.payment_of_view(reader, view_token)
        site = await merchants.site(reader, found.site_id)
        player = await players.player(reader, found.site_id, found.player_id)
        language = choose_language(lang, found.language, offered=views.languages(site))
        reason, continue_url = found.sub_status.value, None
        try:
            continue_url = await payments.page_to_pay(reader, found)
        except payments.PageNotAllowed as refusal:
            reason = refusal.code
        view = pages.PaymentView(
            site_id=site.site_id,
            site_name=site.name,
            language=language,
            reference=str(found.number),
            kind=found.kind.value,
            method=found.method,
            method_title=methods.CATALOGUE[found.method].title,
            amount=found.amount,
            reason=reason,
            status_url=f"/cashier/payment/{view_token}/status?lang={language}",
            continue_url=continue_url,
            again_possible=found.completed_at is not None,
            returned=returned,
            merchant_sentence=found.reason
            if found.sub_status is payments.SubStatus.REJECTED_BY_MERCHANT
            else "",
            completed_at=found.completed_at,
            expires_at=found.expires_at,
            time_zone=player.personal.get("timezone", "UTC"),
            parent_origins=site.frame_origins,
            page_url=f"/cashier/payment/{view_token}",
            languages=views.languages(site),
        )
        if found.kind is payments.Kind.PAYOUT:
            view = await _of_payout(reader, found, view, view_token)
        return Seen(found, view, site)


def with_error(view: pages.PaymentView, refusal: Refusal) -> pages.PaymentView:
    """The same view, with why something could not be done."""
    return replace(view, error=translator(view.language).refusal(refusal.code, refusal.fields).headline)


async def _of_payout(
    reader: Reader, found: payments.Payment, view: pages.PaymentView, view_token: str
) -> pages.PaymentView:
    """What a withdrawal has besides; of why it was rejected only what the player may read."""
    rules = await payments.policy(reader, found.site_id, found.amount.currency)
    legs = await payments.legs_of(reader, found)
    reason = _payout_reason(found)
    if reason == "completed_in_part":
        legs = [leg for leg in legs if leg.state is payments.LegState.COMPLETED]
    is_done = found.sub_status is S.COMPLETED
    is_rejected = found.sub_status in {S.REJECTED, S.REJECTED_BY_MERCHANT}
    may_cancel = found.status is payments.Status.PENDING and rules.player_may_cancel
    return replace(
        view,
        reason=reason,
        amount=found.real_amount if is_done else found.amount,
        asked_for=found.amount if is_done and found.real_amount != found.amount else None,
        came_back=found.refunded if is_done and found.refunded.minor else None,
        parts=[pages.Part(leg.amount, leg.method, f"*{leg.masked.rpartition('*')[2]}") for leg in legs],
        merchant_sentence=found.reason_player if is_rejected else "",
        cancel_url=f"/cashier/payment/{view_token}/cancel?lang={view.language}" if may_cancel else None,
    )


def _payout_reason(found: payments.Payment) -> str:
    """The sub-status, or what it does not tell by itself."""
    match found.sub_status:
        case S.APPROVED if found.expires_at is not None:
            return "awaiting_site"
        case S.REJECTED_BY_MERCHANT if found.reason_code == callouts.CalloutState.NO_FUNDS:
            return "no_funds"
        case S.COMPLETED if found.real_amount < found.amount:
            return "completed_in_part"
        case state:
            return state.value

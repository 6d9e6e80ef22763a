"""What is said of a deposit and what refuses it, in English: the sources of the catalogues."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["METHODS", "REASONS", "REFUSALS", "Reason", "Stage", "Words", "said"]

Stage = Literal["progress", "go_to_provider", "waiting", "success", "failure"]


@dataclass(frozen=True, slots=True)
class Words:
    """A headline (what happened) and a sentence (what to do)."""

    headline: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Reason:
    """How one sub-status of a payment (payments.md section 1.2) is shown; a `calm` failure is no bad news."""

    stage: Stage
    words: Words
    calm: bool = False


def said(headline: str, sentence: str = "") -> Words:
    """Mark words for the catalogues; they are translated when they are shown."""
    return Words(headline, sentence)


REASONS: Mapping[str, Reason] = {
    "created": Reason("progress", said("Starting your payment", "This takes a few seconds.")),
    "checking": Reason(
        "progress",
        said("Checking your payment", "We are asking the site whether it can accept this deposit."),
    ),
    "risk_review": Reason(
        "waiting",
        said("We are reviewing your payment", "This can take a few minutes. You can close this page."),
    ),
    "awaiting_player": Reason(
        "go_to_provider",
        said("Confirm your payment", "Go to the payment page and confirm the payment there."),
    ),
    # The same, where the provider's page is none to which players are sent any more.
    "page_not_allowed": Reason(
        "waiting",
        said(
            "The payment page cannot be opened",
            "Its address is not one that we send players to. "
            "Start a new payment, or contact the site's support.",
        ),
    ),
    "submitted": Reason(
        "progress",
        said(
            "Processing your payment",
            "We have sent the payment and are waiting for the answer. It usually takes less than a minute.",
        ),
    ),
    "provider_pending": Reason(
        "waiting",
        said(
            "Waiting for the payment to arrive",
            "You can close this page: the money will be added to your balance as soon as it arrives.",
        ),
    ),
    "unknown": Reason(
        "waiting",
        said(
            "We are finding out what happened",
            "There is no clear answer about this payment yet. Please do not pay again: "
            "we keep checking, and if the money was taken, it will be added to your balance.",
        ),
    ),
    "conflicted": Reason(
        "waiting",
        said(
            "We are checking the amount",
            "The payment that arrived differs from the one you asked for, so a person is checking it. "
            "Please do not pay again; the site's support can help you by the number below.",
        ),
    ),
    "crediting": Reason("progress", said("Payment received", "We are adding the money to your balance.")),
    "completed": Reason("success", said("Deposit completed", "The money is on your balance.")),
    "declined": Reason(
        "failure",
        said(
            "The payment was declined",
            "Your bank or payment service did not approve it. "
            "Check your balance and limits, or try another method.",
        ),
    ),
    "provider_error": Reason(
        "failure",
        said(
            "The payment could not be made",
            "The payment service had a problem. Try again in a few minutes or choose another method.",
        ),
    ),
    "limit_blocked": Reason(
        "failure",
        said(
            "A limit has been reached",
            "This deposit would exceed a limit set for your account. "
            "Try a smaller amount or wait until the limit is renewed.",
        ),
    ),
    "risk_declined": Reason(
        "failure",
        said(
            "We cannot accept this payment",
            "Try another method or contact the site's support.",
        ),
    ),
    "expired": Reason(
        "failure",
        said(
            "Time has run out",
            "The payment was not confirmed in time. If you have already paid, do not pay again: "
            "we check late payments too. Otherwise, start again.",
        ),
        calm=True,
    ),
    "by_player": Reason(
        "failure",
        said(
            "You cancelled the payment", "Nothing was added to your balance. You can start again at any time."
        ),
        calm=True,
    ),
    "by_operator": Reason(
        "failure",
        said(
            "The payment was cancelled",
            "Our staff cancelled this payment. If you have questions, contact the site's support.",
        ),
        calm=True,
    ),
    "rejected_by_merchant": Reason(
        "failure",
        said(
            "The site did not accept the deposit",
            "No money was taken. Try another amount or contact the site's support.",
        ),
    ),
    "merchant_unreachable": Reason(
        "failure",
        said("The site is not answering", "No money was taken. Try again in a few minutes."),
    ),
    "refunded": Reason(
        "failure",
        said("The deposit was refunded", "The money has been sent back to the account it came from."),
        calm=True,
    ),
    "charged_back": Reason(
        "failure",
        said("The deposit was returned", "Your bank took this payment back. Contact the site's support."),
        calm=True,
    ),
    "reversed": Reason(
        "failure",
        said(
            "The deposit was not paid",
            "The payment provider told us that this payment was not made, so the amount was taken off your "
            "balance again. Contact the site's support.",
        ),
    ),
}

# Whole pages (with a sentence) and messages beside a field (headline only).
REFUSALS: Mapping[str, Words] = {
    "key_invalid": said("This link is no longer valid", "Go back to the site and open the cashier again."),
    "payment_not_found": said(
        "We cannot find this payment", "Go back to the site and open the cashier again."
    ),
    "too_many_requests": said("Too many attempts", "Wait a minute and try again."),
    "deed_not_offered": said("This is not possible here", "Go back to the site and open the cashier again."),
    "closed_for_now": said(
        "The cashier is closed for now", "Deposits are paused for a short while. Try again later."
    ),
    "something_wrong": said("Something went wrong on our side", "Try again in a minute."),
    "amount_too_low": said("This amount is too small. Enter from %(minimum)s to %(maximum)s."),
    "amount_too_high": said("This amount is too large. Enter from %(minimum)s to %(maximum)s."),
    "amount_malformed": said("Enter the amount in digits, for example %(example)s."),
    "method_missing": said("Choose a payment method."),
    "player_may_not_deposit": said(
        "Deposits are not possible for you at present. Ask the support of the site."
    ),
    "too_many_open_deposits": said("You have too many unfinished deposits. Finish one or wait."),
    "idempotency_key_reused": said("This form was already sent. Open the cashier again."),
    "method_unavailable": said("This payment method is not available now. Choose another one."),
}

METHODS: Mapping[str, Words] = {
    "card": said("Bank card"),
    "mobile_app": said("Mobile banking app"),
    "qr": said("QR payment"),
    "bank_transfer": said("Bank transfer"),
    "e_wallet": said("E-wallet"),
    "mobile_operator": said("Mobile operator"),
    "aggregator": said("Payment terminal"),
}

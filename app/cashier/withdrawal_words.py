"""What is said of a withdrawal and what refuses it, in English: the sources of the catalogues.

Nothing here tells who looks at a withdrawal, or why: what a player may read of a rejection is quoted.
"""

from collections.abc import Mapping

from app.cashier.words import Reason, Words, said

__all__ = ["DESTINATION_LABELS", "WITHDRAWAL_REASONS", "WITHDRAWAL_REFUSALS"]

_REVIEWED = Reason(
    "waiting",
    said("Your withdrawal is being reviewed", "It is checked before it is sent. You can close this page."),
)

# By sub-status; awaiting_site, no_funds and completed_in_part say what a sub-status alone does not tell.
WITHDRAWAL_REASONS: Mapping[str, Reason] = {
    "requested": Reason(
        "waiting",
        said(
            "Waiting for the site's answer",
            "We ask the site about your withdrawal until it answers. The money is set aside. "
            "You can close this page.",
        ),
    ),
    "cooling": Reason(
        "waiting",
        said(
            "Your withdrawal is accepted",
            "The site waits for a while before it sends a withdrawal. You can close this page.",
        ),
    ),
    "under_review": _REVIEWED,
    "awaiting_second_approval": _REVIEWED,  # how many people look at it is nobody's business
    "awaiting_kyc": Reason(
        "waiting",
        said(
            "We need to know who you are",
            "The site will ask you for documents. Your withdrawal goes on when they are checked.",
        ),
    ),
    "approved": Reason(
        "waiting",
        said("Your withdrawal is approved", "It is about to be sent. You can close this page."),
    ),
    "awaiting_site": Reason(
        "waiting",
        said(
            "Your withdrawal is approved",
            "It is sent as soon as the site releases it. You can close this page.",
        ),
    ),
    "allocated": Reason(
        "progress",
        said("Sending your withdrawal", "We are handing it to the payment service."),
    ),
    "submitted": Reason(
        "progress",
        said(
            "Sending your withdrawal",
            "We have sent it and are waiting for the answer of the payment service.",
        ),
    ),
    "provider_pending": Reason(
        "waiting",
        said(
            "Your withdrawal is on its way",
            "The payment service is carrying it out. With some banks this takes days. "
            "You can close this page.",
        ),
    ),
    "unknown": Reason(
        "waiting",
        said(
            "We are finding out where the money is",
            "There is no clear answer yet. Please do not ask for it again: we keep checking, and what was "
            "not sent goes back to your balance.",
        ),
    ),
    "conflicted": Reason(
        "waiting",
        said(
            "We are checking what was sent",
            "It differs from what you asked for, so a person is checking it. "
            "The site's support can help you by the number below.",
        ),
    ),
    "partly_paid": Reason(
        "waiting",
        said("A part of your withdrawal was sent", "The rest is on its way. You can close this page."),
    ),
    "completed": Reason(
        "success",
        said("Withdrawal completed", "The payment service has confirmed that the money was sent."),
    ),
    "completed_in_part": Reason(
        "success",
        said(
            "A part of your withdrawal was sent",
            "The rest could not be sent and goes back to your balance.",
        ),
    ),
    "declined": Reason(
        "failure",
        said(
            "The withdrawal was declined",
            "The payment service did not accept it. The money goes back to your balance: "
            "choose another way to receive it.",
        ),
    ),
    "provider_error": Reason(
        "failure",
        said(
            "The withdrawal could not be made",
            "The payment service had a problem. The money goes back to your balance: "
            "try again in a few minutes.",
        ),
    ),
    "undeliverable": Reason(
        "failure",
        said(
            "The money could not be delivered",
            "Nothing can be sent there. The money goes back to your balance: "
            "check the details or choose another way to receive it.",
        ),
    ),
    "by_player": Reason(
        "failure",
        said("You cancelled the withdrawal", "Nothing was sent. The money goes back to your balance."),
        calm=True,
    ),
    "by_operator": Reason(
        "failure",
        said(
            "The withdrawal was cancelled",
            "Our staff cancelled it. Nothing was sent, and the money goes back to your balance.",
        ),
        calm=True,
    ),
    "by_system": Reason(
        "failure",
        said(
            "The withdrawal was cancelled",
            "It was not released in time. Nothing was sent, and the money goes back to your balance.",
        ),
        calm=True,
    ),
    "rejected": Reason(
        "failure",
        said(
            "The withdrawal was not approved",
            "Nothing was sent, and the money goes back to your balance. "
            "If you have questions, contact the site's support.",
        ),
    ),
    "rejected_by_merchant": Reason(
        "failure",
        said(
            "The site did not accept the withdrawal",
            "Nothing was sent, and the money goes back to your balance.",
        ),
    ),
    "no_funds": Reason(
        "failure",
        said(
            "The site says that there is not enough money",
            "Nothing was sent. Check your balance at the site or try a smaller amount.",
        ),
    ),
    "returned": Reason(
        "failure",
        said(
            "The money came back",
            "The receiving bank sent it back, and it goes back to your balance. "
            "Choose another way to receive it.",
        ),
        calm=True,
    ),
}

# Whole pages (with a sentence) and messages beside a field; of a destination one for each broken rule.
WITHDRAWAL_REFUSALS: Mapping[str, Words] = {
    "withdrawals_closed": said(
        "Withdrawals are closed for now",
        "They are paused for a short while. Your money stays on your balance. Try again later.",
    ),
    "insufficient_funds": said("There is not enough money: %(balance)s is available."),
    "too_many_open_payouts": said(
        "You have too many unfinished withdrawals. Wait until one of them is done."
    ),
    "too_many_instruments": said(
        "You have entered too many new details today. Choose the ones that you used before."
    ),
    "withdrawals_locked": said("Withdrawals are not possible at the moment. Contact the site's support."),
    "receiving_method_missing": said("Choose how to receive the money."),
    "receiving_method_unavailable": said("Money cannot be received this way now. Choose another one."),
    "card_not_taken": said("Nothing can be sent to this card. Choose another one."),
    "card_not_taken_now": said("The card cannot be checked at the moment. Try again in a minute."),
    "instrument_not_found": said("These details are no longer known. Enter them again."),
    "bad_destination_missing": said("Fill in this field."),
    "bad_destination_malformed": said("This does not look right. Check it."),
    "bad_destination_country": said("The country of this number is not known. Check it."),
    "bad_destination_length": said("This is too short or too long. Check it."),
    "bad_destination_checksum": said("There is a mistake in this number. Check every digit."),
    "bad_destination_card_number": said("A card number does not belong here."),
    "too_late_to_cancel": said("This withdrawal can no longer be cancelled."),
    "cancel_not_allowed": said("This site does not let players cancel withdrawals. Contact its support."),
}

# The labels of `methods.DESTINATION_FIELDS`, for the catalogues; a test compares.
DESTINATION_LABELS = (
    said("Card number"),
    said("Account number (IBAN)"),
    said("IIN of the account's holder"),
    said("Name of the account's holder"),
    said("Wallet number"),
    said("Phone number"),
)

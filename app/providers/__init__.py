"""Who moves the money: one contract, many gateways, and every message they send stored before it is read.

Promises that no outcome is guessed: what cannot be read is UNKNOWN. A provider's words stop at its gateway.
"""

from app.providers.contract import (
    BadNotice,
    Cap,
    DepositOrder,
    DisputeReport,
    DisputeStage,
    Gateway,
    InstrumentSeen,
    NoticeReply,
    PayoutOrder,
    ProviderAccount,
    ProviderError,
    RawNotice,
    Redirect,
    RefundOrder,
    Report,
    Result,
    State,
    Tokenised,
    is_own_page,
    judged,
)
from app.providers.intake import NOTICE_ARRIVED, Intake, take_notice

# fmt: off
# isort: off
from app.providers.notices import close_notice, recover_forgotten
from app.providers.account_checks import BadAccount, NewAccount
from app.providers.operations import (
    OVERLAP_HOURS, AccountChange, AccountTaken, AccountUnchanged, change_account, end_former_secret,
    forget_former_secrets, open_account, rotate_secret, seed_account, switch_account,
)
from app.providers.queries import (
    AccountNotFound, able, account, account_beside, account_of, accounts, accounts_of_site, gateway_of,
    gateway_on, have_moved, reports_of, stored_notice, takes_orders, unread_notice,
)
from app.providers.routing import Route, next_account
from app.providers.tables import NoticeState

__all__ = [
    "NOTICE_ARRIVED", "OVERLAP_HOURS", "AccountChange", "AccountNotFound", "AccountTaken", "AccountUnchanged",
    "BadAccount", "BadNotice", "Cap", "DepositOrder", "DisputeReport", "DisputeStage", "Gateway",
    "InstrumentSeen", "Intake", "NewAccount", "NoticeReply", "NoticeState", "PayoutOrder", "ProviderAccount",
    "ProviderError", "RawNotice", "Redirect", "RefundOrder", "Report", "Result", "Route", "State",
    "Tokenised", "able", "account", "account_beside", "account_of", "accounts", "accounts_of_site",
    "change_account", "close_notice", "end_former_secret", "forget_former_secrets", "gateway_of",
    "gateway_on", "have_moved", "is_own_page", "judged", "next_account", "open_account", "recover_forgotten",
    "reports_of", "rotate_secret", "seed_account", "stored_notice", "switch_account", "take_notice",
    "takes_orders", "unread_notice",
]
# isort: on
# fmt: on

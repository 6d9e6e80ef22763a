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
    judged,
)
from app.providers.operations import (
    NOTICE_ARRIVED,
    close_notice,
    open_account,
    recover_forgotten,
    take_notice,
)
from app.providers.queries import (
    AccountNotFound,
    account,
    gateway_of,
    reports_of,
    stored_notice,
)
from app.providers.tables import NoticeState

# fmt: off
__all__ = [
    "NOTICE_ARRIVED", "AccountNotFound", "BadNotice", "Cap", "DepositOrder", "DisputeReport", "DisputeStage",
    "Gateway", "InstrumentSeen", "NoticeReply", "NoticeState", "PayoutOrder", "ProviderAccount",
    "ProviderError", "RawNotice", "Redirect", "RefundOrder", "Report", "Result", "State", "Tokenised",
    "account", "close_notice", "gateway_of", "judged", "open_account", "recover_forgotten", "reports_of",
    "stored_notice", "take_notice",
]
# fmt: on

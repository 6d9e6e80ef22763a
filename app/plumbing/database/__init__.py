"""One visible transaction at a time, never held across the network; the only place that begins and ends one.

`Database` serves the deeds, through SQLAlchemy. `Lanes` serves batches of many callers, on few connections of
their own and with asyncpg alone: same promises, a fifth of the cost.
"""

from app.plumbing.database.built import Built, Write
from app.plumbing.database.engine import (
    BUSY_SQLSTATES,
    RETRY_LIMIT,
    CommitUnknown,
    Database,
    DatabaseDown,
    NetworkInsideTransaction,
    NotCommitted,
    SessionSettings,
    TransactionAlreadyOpen,
    asyncpg_dsn,
    checked,
    forbid_network,
    is_busy,
    metadata,
    pause_seconds,
    sqlstate,
)
from app.plumbing.database.lanes import Lanes, RolledBack, committed
from app.plumbing.database.transactions import NOBODY, Asked, Reader, Transaction
from app.plumbing.database.turns import Turns

__all__ = [
    "BUSY_SQLSTATES",
    "NOBODY",
    "RETRY_LIMIT",
    "Asked",
    "Built",
    "CommitUnknown",
    "Database",
    "DatabaseDown",
    "Lanes",
    "NetworkInsideTransaction",
    "NotCommitted",
    "Reader",
    "RolledBack",
    "SessionSettings",
    "Transaction",
    "TransactionAlreadyOpen",
    "Turns",
    "Write",
    "asyncpg_dsn",
    "checked",
    "committed",
    "forbid_network",
    "is_busy",
    "metadata",
    "pause_seconds",
    "sqlstate",
]

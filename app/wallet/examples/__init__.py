"""What the API's document shows of the wallet: each call's forms, and an example of each of its answers."""

from app.wallet.examples.calls import CALLS, Call, codes_of
from app.wallet.examples.document import ANSWERS, alone, described
from app.wallet.examples.wishes import BODIES, PATHS, QUERIES, SESSION, TRANSACTION

__all__ = [
    "ANSWERS",
    "BODIES",
    "CALLS",
    "PATHS",
    "QUERIES",
    "SESSION",
    "TRANSACTION",
    "Call",
    "alone",
    "codes_of",
    "described",
]

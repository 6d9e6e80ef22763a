"""What a deed may use, handed in: the database, outgoing HTTP, and the clock."""

from dataclasses import dataclass

from app.kernel.clock import Clock
from app.plumbing.database import Database
from app.plumbing.http import HttpClient

__all__ = ["Pipes"]


@dataclass(frozen=True, slots=True)
class Pipes:
    """Opened once by `wiring`, passed to every deed that needs more than its own transaction."""

    database: Database
    http: HttpClient
    clock: Clock
    public_url: str  # where browsers and providers reach this service, without a slash at the end

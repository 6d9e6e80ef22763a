"""The usual way to write a deposit: one ORM unit of work for each request, done honestly.

FastAPI, pydantic, SQLAlchemy 2's async ORM and asyncpg, in one process of the same uvicorn with the same loop
and protocol as the product. It looks its idempotency key up, locks the row, updates the balance, inserts one
entry (single-entry: half of what the wallet writes), and commits. `python -m bench.peers.orm`, configured by
PEER_DATABASE_URL, PEER_PORT and PEER_POOL_SIZE.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy import BigInteger, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.plumbing.server import BoundedProtocol

PLAYERS = 4000
_SITE = "peer"
_ID = Annotated[str, Field(min_length=1, max_length=128)]


class Base(DeclarativeBase):
    """Where the tables register."""


class Wallet(Base):
    """One player's balance."""

    __tablename__ = "wallet"
    player: Mapped[str] = mapped_column(primary_key=True)
    currency: Mapped[str]
    balance_minor: Mapped[int] = mapped_column(BigInteger)


class Entry(Base):
    """One deposit; its key is the caller's."""

    __tablename__ = "entry"
    entry_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    player: Mapped[str]
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    balance_after_minor: Mapped[int] = mapped_column(BigInteger)


class Deposit(BaseModel):
    """What is asked; the same body as the product's."""

    playerExternalId: _ID  # noqa: N815  the name on the wire
    currency: str
    amount: Annotated[int, Field(strict=True, ge=1, le=10**15)]
    transferId: _ID  # noqa: N815  the name on the wire


_engine = create_async_engine(
    os.environ.get("PEER_DATABASE_URL", "postgresql+asyncpg://localhost/peer"),
    pool_size=int(os.environ.get("PEER_POOL_SIZE", "20")),
    max_overflow=0,
)
_sessions = async_sessionmaker(_engine, expire_on_commit=False)


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Make the tables and the players on the first start."""
    async with _engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with _sessions.begin() as session:
        if await session.get(Wallet, f"{_SITE}-1") is None:
            session.add_all(
                Wallet(player=f"{_SITE}-{number}", currency="EUR", balance_minor=0)
                for number in range(1, PLAYERS + 1)
            )
    yield
    await _engine.dispose()


server = FastAPI(lifespan=_lifespan)


@server.get("/readyz")
async def ready() -> dict[str, str]:
    """Whether requests may come."""
    return {"status": "ready"}


@server.post("/v1/player/wallet/deposit")
async def deposit(asked: Deposit) -> JSONResponse:
    """Credit once, and answer in the product's form."""
    try:
        async with _sessions.begin() as session:
            return await _deposited(session, asked)
    except IntegrityError:
        # The same key came twice at once; the other was first.
        async with _sessions() as session:
            return await _deposited(session, asked)


async def _deposited(session: AsyncSession, asked: Deposit) -> JSONResponse:
    known = await session.scalar(select(Entry).where(Entry.key == asked.transferId))
    if known is not None:
        if (known.player, known.amount_minor) != (asked.playerExternalId, asked.amount):
            return JSONResponse({"success": False, "code": "ID_CONFLICT"}, 409)
        return _told(asked, known, duplicate=True)
    wallet = await session.get(Wallet, asked.playerExternalId, with_for_update=True)
    if wallet is None or wallet.currency != asked.currency:
        return JSONResponse({"success": False, "code": "PLAYER_NOT_FOUND"}, 404)
    wallet.balance_minor += asked.amount
    entry = Entry(
        key=asked.transferId,
        player=wallet.player,
        amount_minor=asked.amount,
        balance_after_minor=wallet.balance_minor,
    )
    session.add(entry)
    await session.flush()
    return _told(asked, entry, duplicate=False)


def _told(asked: Deposit, entry: Entry, *, duplicate: bool) -> JSONResponse:
    data = {
        "transactionId": entry.entry_id,
        "externalId": entry.key,
        "playerExternalId": entry.player,
        "currency": asked.currency,
        "amount": entry.amount_minor,
        "balanceBefore": entry.balance_after_minor - entry.amount_minor,
        "balanceAfter": entry.balance_after_minor,
        "duplicate": duplicate,
    }
    return JSONResponse({"success": True, "code": "OK", "message": "Done.", "data": data})


if __name__ == "__main__":
    uvicorn.run(
        server,
        host="127.0.0.1",
        port=int(os.environ["PEER_PORT"]),
        log_config=None,
        access_log=False,
        server_header=False,
        http=BoundedProtocol,
        backlog=2048,
        timeout_keep_alive=15,
    )

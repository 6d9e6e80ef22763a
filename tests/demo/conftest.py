"""Servers that live as long as one test."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.demo import provider, wire
from app.demo.merchant import MerchantSettings, create_app
from tests.demo import bank
from tests.demo.bank import Sandbox
from tests.demo.servers import Peer, Serve, Server, started
from tests.demo.shops import SALT, SECRET, Shop


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start an app on a free port and return its address; all are stopped when the test ends."""
    servers: list[Server] = []

    async def start(app: FastAPI) -> str:
        servers.append(await started(app))
        return servers[-1].url

    yield start
    await asyncio.gather(*(server.stop() for server in servers))


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A plain client that follows no redirect."""
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture
def peer() -> Peer:
    """A stub for the other side."""
    return Peer()


@pytest.fixture
async def shop(serve: Serve, peer: Peer, http: httpx.AsyncClient) -> Shop:
    """Run a shop beside a stub cashier."""
    cashier_url = await serve(peer.app)
    settings = MerchantSettings(
        base_url=cashier_url,
        public_url="http://127.0.0.1:1",
        site_id=7,
        salt=SALT,
        currency="KZT",
        webhook_secret=SECRET,
        slow_seconds=0.2,
        late_seconds=0.4,
        hang_seconds=5.0,
        pauses_seconds=(0.05, 0.05),
    )
    return Shop(await serve(create_app(settings)), http)


@pytest.fixture
async def sandbox(serve: Serve, peer: Peer, http: httpx.AsyncClient) -> Sandbox:
    """Run a provider beside a stub merchant."""
    peer_url = await serve(peer.app)
    settings = provider.ProviderSettings(
        public_url="http://provider.example",
        merchants={"altyn": bank.SECRET, "other": "other-secret"},
        notice_peers=frozenset({wire.peer_of(peer_url)}),
        short_pause_seconds=0.1,
        long_pause_seconds=0.4,
        hang_seconds=1.5,
        notice_delays_seconds=(0.05, 0.05, 0.05),
    )
    return Sandbox(await serve(provider.create_app(settings)), peer_url, peer, http)

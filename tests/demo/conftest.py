"""Servers that live as long as one test."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from tests.demo.servers import Peer, Serve, Server, started


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

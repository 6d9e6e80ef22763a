"""The process of the two strangers.

The demo merchant's shop and the sandbox provider, each on a port of its own.
"""

import asyncio
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from app.demo import merchant, provider
from app.demo.merchant_shop import MerchantSettings
from app.demo.provider_orders import ProviderSettings
from app.demo.seed import ACCOUNT, Demo

__all__ = ["serve"]


async def serve(demo: Demo) -> None:
    """Serve both until SIGTERM or SIGINT."""
    shop = merchant.create_app(
        MerchantSettings(
            base_url=demo.base_url,
            public_url=demo.merchant_url,
            site_id=demo.site_id,
            salt=demo.salt,
            currency=demo.currency,
            webhook_secret=demo.webhook_secret,
        )
    )
    peers = frozenset(
        (host, int(port)) for host, _, port in (peer.rpartition(":") for peer in demo.allowed_private_peers)
    )
    sandbox = provider.create_app(
        ProviderSettings(
            public_url=demo.sandbox_url, merchants={ACCOUNT: demo.sandbox_secret}, notice_peers=peers
        )
    )
    servers = [_server(shop, demo.merchant_url), _server(sandbox, demo.sandbox_url)]
    async with asyncio.TaskGroup() as group:
        for server in servers:
            group.create_task(server.serve())


def _server(app: FastAPI, url: str) -> uvicorn.Server:
    parts = urlsplit(url)
    config = uvicorn.Config(
        app,
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 80,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)

"""The process of the two strangers.

The demo merchant's shop and the sandbox provider, each on a port of its own. Run by `cashier up`.
"""

import asyncio
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from app.demo import merchant, provider
from app.demo.facts import ACCOUNT, SECOND_ACCOUNT, Demo
from app.demo.merchant_shop import MerchantSettings
from app.demo.provider_orders import ProviderSettings
from app.settings import BadSetting, Settings

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
            api_token=demo.api_tokens["read"],
        )
    )
    sandbox = provider.create_app(
        ProviderSettings(
            public_url=demo.sandbox_url,
            merchants=dict.fromkeys((ACCOUNT, SECOND_ACCOUNT), demo.sandbox_secret),
            notice_peers=demo.peers,
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


def main() -> None:
    """Serve the demo that demo.json describes."""
    demo = Demo.read(Settings.read().data_dir / "demo.json")
    if demo is None:
        raise BadSetting("there is no demo.json in CASHIER_DATA_DIR; `cashier up` writes it")
    asyncio.run(serve(demo))


if __name__ == "__main__":
    main()

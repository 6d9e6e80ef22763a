"""The sandbox provider of the demo, as a process of its own: `python -m bench.peers.bank`."""

import os

import uvicorn
import uvloop

from app.demo.facts import ACCOUNT
from app.demo.provider import create_app
from app.demo.provider_orders import ProviderSettings

__all__: list[str] = []

_PENDING_SECONDS = 0.1  # from the answer to the notice


async def serve() -> None:
    """Serve until SIGTERM; the environment says where, for whom, and where the cashier is."""
    port, cashier = int(os.environ["PEER_PORT"]), int(os.environ["PEER_CASHIER_PORT"])
    app = create_app(
        ProviderSettings(
            public_url=f"http://127.0.0.1:{port}",
            merchants={ACCOUNT: os.environ["PEER_SECRET"]},
            short_pause_seconds=_PENDING_SECONDS,
            notice_peers=frozenset({("127.0.0.1", cashier)}),
        )
    )
    app.add_api_route("/readyz", _ready)
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
    await uvicorn.Server(config).serve()


async def _ready() -> dict[str, bool]:
    return {"ready": True}


if __name__ == "__main__":
    uvloop.run(serve())

"""The API's documents: generated from the code, committed, and compared byte for byte by `make check`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI

import app.callouts.schemas
import app.payments.examples
import app.webhooks.examples
from app import main, wiring
from app.settings import Settings
from app.wallet import examples

__all__ = ["differences", "write"]


def write(folder: Path) -> None:
    """Write every document."""
    folder.mkdir(exist_ok=True)
    for name, content in _documents().items():
        (folder / name).write_text(content)


def differences(folder: Path) -> list[str]:
    """The names of documents that are not what the code says."""
    return [
        name
        for name, content in _documents().items()
        if not (folder / name).exists() or (folder / name).read_text() != content
    ]


def _documents() -> dict[str, str]:
    pipes = wiring.pipes(
        Settings(database_url="postgresql://nobody@/nowhere", public_url="https://cashier.example")
    )
    found = {
        "merchant.json": app.payments.examples.described(main.merchant_api(pipes).openapi()),
        "wallet.json": examples.alone(examples.described(main.wallet_api(pipes).openapi())),
        "callouts.json": _sent(
            "Open Cashier: callouts", "What we ask your server, and wait for.", app.callouts.schemas.describe
        ),
        "webhooks.json": _sent(
            "Open Cashier: webhooks",
            "What we tell your server, and repeat until heard.",
            app.webhooks.examples.describe,
        ),
    }
    return {
        name: json.dumps(document, indent=2, ensure_ascii=False) + "\n" for name, document in found.items()
    }


def _sent(title: str, description: str, describe: Callable[[APIRouter], None]) -> dict[str, Any]:
    """A document of requests that we send: OpenAPI 3.1's `webhooks` section."""
    documented = FastAPI(title=title, version="1", description=description)
    describe(documented.webhooks)
    made: dict[str, Any] = documented.openapi()
    # The framework describes what it would answer itself; here somebody else answers.
    for message in made.get("webhooks", {}).values():
        message["post"]["responses"].pop("422", None)
    for form in ("HTTPValidationError", "ValidationError"):
        made.get("components", {}).get("schemas", {}).pop(form, None)
    return made

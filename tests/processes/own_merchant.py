"""A merchant's server from the standard library, as an integrator might write it on the first day."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from typing_extensions import override


def signature(fields: Mapping[str, object], salt: str) -> str:
    """The protocol's SHA-1 rule, written from docs/connect.md."""
    named = {name: str(value) for name, value in fields.items() if name != "signature" and value != ""}
    text = "".join(f"{name}:{named[name]};" for name in sorted(named)) + salt
    return hashlib.sha1(text.encode()).hexdigest()  # noqa: S324  the protocol's


@dataclass
class Merchant:
    """What the server knows and has heard; `salts` are those it believes."""

    port: int
    salts: list[str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    message_ids: list[str] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    effects: dict[object, int] = field(default_factory=dict)
    events: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def answer(self, path: str, fields: dict[str, Any], message_id: str) -> dict[str, Any]:
        """Answer one signed message."""
        if fields["signature"] not in [signature(fields, salt) for salt in self.salts]:
            self.refused.append(fields)
            return {"code": 500, "error_description": "bad signature"}
        if path == "/ask":
            self.asked.append(fields)
            return {"code": 0, "external_id": f"own-{fields['transaction_id']}"}
        self.told.append(fields)
        self.message_ids.append(message_id)
        if fields["status_id"] == 4:
            self.effects.setdefault(fields["transaction_id"], fields["amount"])
        return {"code": 0}


@contextmanager
def serving() -> Iterator[Merchant]:
    """The server, in a thread of this process, on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        merchant: ClassVar[Merchant]

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/events":
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.merchant.events.append((headers, body))
                self.send_response(204)
                self.end_headers()
                return
            answer = self.merchant.answer(self.path, json.loads(body), self.headers["Webhook-Id"])
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        @override
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Handler.merchant = Merchant(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Handler.merchant
        server.shutdown()
        thread.join()

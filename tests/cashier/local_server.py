"""A small web server that shows views as the cashier's routes would, and notes what the browser sent."""

import json
import mimetypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

from app.cashier import (
    MethodsView,
    PaymentView,
    content_security_policy,
    render_methods,
    render_payment,
    status_body,
)
from app.cashier.pages import STATIC
from tests.cashier.views import METHODS, PAYMENT

# The site's page: it frames the cashier, keeps every message, and grows the frame.
PARENT = """<!doctype html><link rel="icon" href="data:,"><script>
window.seen = [];
addEventListener("message", (event) => { window.seen.push({origin: event.origin, data: event.data}); });
</script><iframe name="cashier" width="500" height="300" src="%s"></iframe>"""


@dataclass
class Stage:
    """What the server shows, settable by the test, and what it was sent."""

    address: str = ""
    methods: MethodsView = METHODS
    payment: PaymentView = PAYMENT
    frame_origins: list[str] = field(default_factory=list)
    status_code: int = 200
    opened: list[dict[str, str]] = field(default_factory=list)
    posted: list[dict[str, str]] = field(default_factory=list)
    asked: int = 0
    shown: int = 0


class QuietServer(ThreadingHTTPServer):
    """A browser that closes a page in mid-answer is no news."""

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def serving(stage: Stage) -> Iterator[Stage]:
    """Serve on a free port of the loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        @override
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            status, kind, body = answer(stage, self.path)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.send_header("x-content-type-options", "nosniff")
            if not self.path.startswith("/parent"):
                self.send_header("content-security-policy", content_security_policy(stage.frame_origins))
            if not self.path.startswith("/cashier/static"):
                self.send_header("cache-control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"])).decode()
            stage.posted.append(one_each(raw))
            self.send_response(303)
            self.send_header("location", "/cashier/payment/view-token")
            self.send_header("content-length", "0")
            self.end_headers()

    server = QuietServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    stage.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stage
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def one_each(raw: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(raw, keep_blank_values=True).items()}


def answer(stage: Stage, path: str) -> tuple[int, str, bytes]:
    parts = urlsplit(path)
    asked = one_each(parts.query)
    html = "text/html; charset=utf-8"
    if parts.path.startswith("/cashier/static/"):
        file = STATIC / parts.path.rpartition("/")[2]
        return 200, mimetypes.guess_type(file.name)[0] or "", file.read_bytes()
    if parts.path == "/open":
        stage.opened.append(asked)
        view = replace(stage.methods, language=asked.get("lang", stage.methods.language))
        view = replace(view, form_token=f"form-token-{len(stage.opened)}")
        return 200, html, render_methods(view).encode()
    if parts.path == "/cashier/payment/view-token":
        stage.shown += 1
        return 200, html, render_payment(stage.payment).encode()
    if parts.path.endswith("/status"):
        stage.asked += 1
        return stage.status_code, "application/json", json.dumps(status_body(stage.payment)).encode()
    if parts.path == "/parent":
        return 200, html, (PARENT % asked["src"]).encode()
    if parts.path == "/provider":
        return 200, html, b'<!doctype html><link rel="icon" href="data:,"><title>Provider</title>'
    return 404, "text/plain", b""

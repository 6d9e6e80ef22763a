"""The environment, read once: every setting has its name, its default and its meaning here."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

__all__ = ["BadSetting", "Settings"]

_HIGHEST_PORT: Final = 65_535


class BadSetting(ValueError):
    """A setting in the environment cannot be used; the message names it and says what is expected."""


@dataclass(frozen=True)
class Settings:
    """What one deployment decides. `production` makes warnings into refusals."""

    database_url: str = field(default="", repr=False)
    """CASHIER_DATABASE_URL: an external PostgreSQL; empty for `cashier up` = the embedded one."""
    data_dir: Path = Path("var")
    """CASHIER_DATA_DIR: where the embedded database and demo.json live."""
    host: str = "127.0.0.1"
    """CASHIER_HOST: where the web process listens."""
    port: int = 8080
    """CASHIER_PORT."""
    merchant_port: int = 8081
    """CASHIER_MERCHANT_PORT: the demo merchant's shop."""
    sandbox_port: int = 8082
    """CASHIER_SANDBOX_PORT: the sandbox provider's page."""
    public_url: str = ""
    """CASHIER_PUBLIC_URL: where browsers and providers reach the service; by default http://host:port.

    In production https, and not left out.
    """
    allowed_private_peers: frozenset[tuple[str, int]] = frozenset()
    """CASHIER_ALLOWED_PRIVATE_PEERS.

    Host:port,... that callouts may reach although private; for demos and tests.
    """
    production: bool = False
    """CASHIER_PROFILE=production: no private peers, https, no API docs, durable database settings."""
    metrics_token: str = field(default="", repr=False)
    """CASHIER_METRICS_TOKEN: what `/metrics` asks for as a bearer in production; empty = there is none."""
    worker_metrics_port: int = 0
    """CASHIER_WORKER_METRICS_PORT: where a worker answers `/metrics`, with the same token; 0 = nowhere."""
    limit_concurrency: int = 1000
    """CASHIER_LIMIT_CONCURRENCY: connections of each web process, idle ones too; further ones hear 503."""
    log_level: str = "info"
    """CASHIER_LOG_LEVEL: debug, info, warning, error."""
    log_json: bool = False
    """CASHIER_LOG_FORMAT=json|console."""
    pool_size: int = 10
    """CASHIER_POOL_SIZE: database connections of each process, besides those of batches and of the queue."""
    web_processes: int = 1
    """CASHIER_WEB_PROCESSES: how many serve this database; `cashier web --processes` says so to its own."""
    job_stale_seconds: int = 30
    """CASHIER_JOB_STALE_SECONDS: a job of a worker silent for so long is taken up by another."""

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read the environment.

        Raises:
            BadSetting: a value that cannot be used.
        """
        host = environ.get("CASHIER_HOST", "") or cls.host
        port = _port(environ, "CASHIER_PORT", 8080)
        production = _one_of(environ, "CASHIER_PROFILE", ("demo", "production")) == "production"
        peers = _peers(environ)
        if production and peers:
            raise BadSetting(
                "CASHIER_ALLOWED_PRIVATE_PEERS opens private addresses and must be empty in production"
            )
        public_url = _public_url(environ)
        if production and not public_url.startswith("https://"):
            raise BadSetting(
                "CASHIER_PUBLIC_URL must be an https address in production, like https://cashier.example"
            )
        return cls(
            database_url=_database_url(environ),
            data_dir=Path(environ.get("CASHIER_DATA_DIR", "") or "var"),
            host=host,
            port=port,
            merchant_port=_port(environ, "CASHIER_MERCHANT_PORT", 8081),
            sandbox_port=_port(environ, "CASHIER_SANDBOX_PORT", 8082),
            public_url=public_url or f"http://{_authority(host, port)}",
            allowed_private_peers=peers,
            production=production,
            metrics_token=_token(environ),
            worker_metrics_port=_number(environ, "CASHIER_WORKER_METRICS_PORT", 0, 0, _HIGHEST_PORT),
            limit_concurrency=_number(environ, "CASHIER_LIMIT_CONCURRENCY", 1000, 10, 100_000),
            log_level=_one_of(environ, "CASHIER_LOG_LEVEL", ("info", "debug", "warning", "error")),
            log_json=_one_of(
                environ, "CASHIER_LOG_FORMAT", ("json" if production else "console", "json", "console")
            )
            == "json",
            pool_size=_number(environ, "CASHIER_POOL_SIZE", 10, 2, 100),
            web_processes=_number(environ, "CASHIER_WEB_PROCESSES", 1, 1, 1000),
            job_stale_seconds=_number(environ, "CASHIER_JOB_STALE_SECONDS", 30, 1, 600),
        )


def _number(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environ.get(name, "") or str(default)
    if not _is_number(text, low, high):
        raise BadSetting(f"{name} must be a number from {low} to {high}, not {text!r}")
    return int(text)


def _is_number(text: str, low: int, high: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(high)) and low <= int(text) <= high


def _database_url(environ: Mapping[str, str]) -> str:
    text = environ.get("CASHIER_DATABASE_URL", "")
    if text and not _is_database_address(text):
        # Not shown: it may hold a password.
        raise BadSetting("CASHIER_DATABASE_URL must be postgresql://user:password@host:port/database")
    return text.replace("postgres://", "postgresql://", 1)


def _is_database_address(text: str) -> bool:
    """Whether it can be read; the port may be left out, and the host be in the query."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        return False
    has_port = url.port is None or 1 <= url.port <= _HIGHEST_PORT
    return url.drivername in {"postgresql", "postgres"} and has_port and text.isprintable()


def _public_url(environ: Mapping[str, str]) -> str:
    text = environ.get("CASHIER_PUBLIC_URL", "")
    if text and not _is_address(text):
        raise BadSetting(f"CASHIER_PUBLIC_URL must be an address like https://cashier.example, not {text!r}")
    return text.rstrip("/")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    has_host = parts.scheme in {"http", "https"} and bool(parts.hostname) and port != 0
    # `urlsplit` drops line ends and forgives blanks; no browser finds such a host.
    is_written = text.isprintable() and " " not in text
    return has_host and is_written and not parts.query and not parts.fragment and "@" not in parts.netloc


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _token(environ: Mapping[str, str]) -> str:
    text = environ.get("CASHIER_METRICS_TOKEN", "")
    if text and not re.fullmatch(r"[A-Za-z0-9._~+/=-]{16,256}", text):
        # Not shown: it is a secret. The characters are RFC 6750's.
        raise BadSetting("CASHIER_METRICS_TOKEN must be 16 to 256 letters, digits or any of -._~+/=")
    return text


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    return _number(environ, name, default, 1, _HIGHEST_PORT)


def _one_of(environ: Mapping[str, str], name: str, values: tuple[str, ...]) -> str:
    text = environ.get(name, "") or values[0]
    if text not in values:
        raise BadSetting(f"{name} must be one of {', '.join(dict.fromkeys(values))}, not {text!r}")
    return text


def _peers(environ: Mapping[str, str]) -> frozenset[tuple[str, int]]:
    peers = set()
    for entry in filter(
        None, (part.strip() for part in environ.get("CASHIER_ALLOWED_PRIVATE_PEERS", "").split(","))
    ):
        host, _, port = entry.rpartition(":")
        if not host or not _is_number(port, 1, _HIGHEST_PORT):
            raise BadSetting(f"CASHIER_ALLOWED_PRIVATE_PEERS must be host:port,... and {entry!r} is not")
        peers.add((host.strip("[]"), int(port)))
    return frozenset(peers)

"""The environment: every wrong value is one sentence that names the setting and what is expected."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import BadSetting, Settings
from tests.conftest import ROOT

PASSWORD = "hunter2"
TOKEN = "0123456789abcdef"


def test_an_empty_environment_is_a_demo() -> None:
    assert Settings.read({}) == Settings(public_url="http://127.0.0.1:8080")
    assert Settings.read(
        dict.fromkeys(("CASHIER_HOST", "CASHIER_PORT", "CASHIER_DATA_DIR"), "")
    ) == Settings.read({})


def test_everything_can_be_set() -> None:
    read = Settings.read(
        {
            "CASHIER_DATABASE_URL": f"postgresql://me:{PASSWORD}@db/cashier",
            "CASHIER_DATA_DIR": "/srv/cashier",
            "CASHIER_HOST": "0.0.0.0",
            "CASHIER_PORT": "9000",
            "CASHIER_MERCHANT_PORT": "9001",
            "CASHIER_WORKER_METRICS_PORT": "9003",
            "CASHIER_SANDBOX_PORT": "9002",
            "CASHIER_PUBLIC_URL": "https://pay.example/",
            "CASHIER_ALLOWED_PRIVATE_PEERS": " 127.0.0.1:8081, shop:80,[::1]:1 ,",
            "CASHIER_PROFILE": "demo",
            "CASHIER_LOG_LEVEL": "debug",
            "CASHIER_LOG_FORMAT": "json",
            "CASHIER_METRICS_TOKEN": TOKEN,
            "CASHIER_LIMIT_CONCURRENCY": "10",
            "CASHIER_POOL_SIZE": "2",
            "CASHIER_WEB_PROCESSES": "3",
            "CASHIER_JOB_STALE_SECONDS": "600",
        }
    )
    assert read == Settings(
        database_url=f"postgresql://me:{PASSWORD}@db/cashier",
        data_dir=Path("/srv/cashier"),
        host="0.0.0.0",
        port=9000,
        merchant_port=9001,
        worker_metrics_port=9003,
        sandbox_port=9002,
        public_url="https://pay.example",
        allowed_private_peers=frozenset({("127.0.0.1", 8081), ("shop", 80), ("::1", 1)}),
        production=False,
        log_level="debug",
        log_json=True,
        metrics_token=TOKEN,
        limit_concurrency=10,
        pool_size=2,
        web_processes=3,
        job_stale_seconds=600,
    )
    assert PASSWORD not in repr(read)
    assert TOKEN not in repr(read)


def test_production_logs_for_machines_unless_told_otherwise() -> None:
    production = {"CASHIER_PROFILE": "production", "CASHIER_PUBLIC_URL": "https://pay.example"}
    assert Settings.read(production).production
    assert Settings.read(production).log_json
    assert not Settings.read(production | {"CASHIER_LOG_FORMAT": "console"}).log_json


def test_the_older_spelling_of_a_postgresql_address_is_read() -> None:
    assert Settings.read({"CASHIER_DATABASE_URL": "postgres://db/a"}).database_url == "postgresql://db/a"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        *(
            (name, value, f"{name} must be a number from 1 to 65535, not {value!r}")
            for name in ("CASHIER_PORT", "CASHIER_MERCHANT_PORT", "CASHIER_SANDBOX_PORT")
            for value in ("0", "65536", "-1", "http", "80.0", "٨٠", " 80", "9" * 5_000)
        ),
        ("CASHIER_POOL_SIZE", "1", "CASHIER_POOL_SIZE must be a number from 2 to 100, not '1'"),
        ("CASHIER_POOL_SIZE", "101", "CASHIER_POOL_SIZE must be a number from 2 to 100, not '101'"),
        ("CASHIER_WEB_PROCESSES", "0", "CASHIER_WEB_PROCESSES must be a number from 1 to 1000, not '0'"),
        (
            "CASHIER_LIMIT_CONCURRENCY",
            "9",
            "CASHIER_LIMIT_CONCURRENCY must be a number from 10 to 100000, not '9'",
        ),
        *(
            (
                "CASHIER_METRICS_TOKEN",
                value,
                "CASHIER_METRICS_TOKEN must be 16 to 256 letters, digits or any of -._~+/=",
            )
            for value in (PASSWORD, "x" * 257, PASSWORD * 3 + " ", PASSWORD * 3 + "\n", PASSWORD * 3 + "é")
        ),
        (
            "CASHIER_JOB_STALE_SECONDS",
            "601",
            "CASHIER_JOB_STALE_SECONDS must be a number from 1 to 600, not '601'",
        ),
        ("CASHIER_PROFILE", "prod", "CASHIER_PROFILE must be one of demo, production, not 'prod'"),
        (
            "CASHIER_LOG_LEVEL",
            "INFO",
            "CASHIER_LOG_LEVEL must be one of info, debug, warning, error, not 'INFO'",
        ),
        ("CASHIER_LOG_FORMAT", "xml", "CASHIER_LOG_FORMAT must be one of console, json, not 'xml'"),
        *(
            (
                "CASHIER_ALLOWED_PRIVATE_PEERS",
                f"shop:80,{value}",
                f"CASHIER_ALLOWED_PRIVATE_PEERS must be host:port,... and {value!r} is not",
            )
            for value in ("shop", "shop:", ":80", "shop:http", "shop:0", "shop:65536", "shop:٨٠")
        ),
        *(
            (
                "CASHIER_PUBLIC_URL",
                value,
                f"CASHIER_PUBLIC_URL must be an address like https://cashier.example, not {value!r}",
            )
            for value in (
                "pay.example",
                "ftp://pay.example",
                "http://[",
                "https://me:secret@pay.example",
                "https://",
                "https://a.example/?x=1",
                "/cashier",
            )
        ),
        *(
            (
                "CASHIER_DATABASE_URL",
                f"{value}://me:{PASSWORD}@db/cashier",
                "CASHIER_DATABASE_URL must be postgresql://user:password@host:port/database",
            )
            for value in ("mysql", "sqlite", "postgresql+asyncpg", "")
        ),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str, sentence: str) -> None:
    with pytest.raises(BadSetting) as bad:
        Settings.read({name: value})
    assert str(bad.value) == sentence
    assert PASSWORD not in str(bad.value)


def test_production_opens_no_private_address() -> None:
    with pytest.raises(BadSetting) as bad:
        Settings.read({"CASHIER_PROFILE": "production", "CASHIER_ALLOWED_PRIVATE_PEERS": "127.0.0.1:80"})
    assert str(bad.value) == (
        "CASHIER_ALLOWED_PRIVATE_PEERS opens private addresses and must be empty in production"
    )


@pytest.mark.parametrize("url", ["", "http://pay.example", "HTTP://pay.example"])
def test_production_is_reached_by_https(url: str) -> None:
    with pytest.raises(BadSetting) as bad:
        Settings.read({"CASHIER_PROFILE": "production", "CASHIER_PUBLIC_URL": url})
    assert str(bad.value) == (
        "CASHIER_PUBLIC_URL must be an https address in production, like https://cashier.example"
    )


@pytest.mark.parametrize(
    "url", ["postgresql://me:hunter2@db:port/cashier", "postgresql://me:hunter2@db:99999/cashier"]
)
def test_an_address_of_a_database_that_cannot_be_read_is_one_sentence(url: str) -> None:
    """README: "a value that cannot be used is refused with a sentence"."""
    environ = {**os.environ, "CASHIER_DATABASE_URL": url}
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "site", "show", "101"],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "CASHIER_DATABASE_URL must be postgresql://user:password@host:port/database" in done.stderr


@pytest.mark.parametrize(
    "value",
    [
        "https://pay.example:99999",
        "https://pay.example:port",
        "https://pay example",
        "https://pay.example/\n",
        " https://pay.example",
    ],
)
def test_a_public_address_that_no_browser_can_open_is_refused(value: str) -> None:
    with pytest.raises(BadSetting):
        Settings.read({"CASHIER_PUBLIC_URL": value})


def test_the_address_of_an_ipv6_host_has_its_brackets() -> None:
    assert Settings.read({"CASHIER_HOST": "::1"}).public_url == "http://[::1]:8080"


@pytest.mark.parametrize(
    "value",
    [
        "postgresql:///cashier?host=/run/postgresql",
        "postgresql://me:a/b#c@db:5433/cashier",
        "postgresql://db",
    ],
)
def test_an_address_of_a_database_may_leave_things_out(value: str) -> None:
    assert Settings.read({"CASHIER_DATABASE_URL": value}).database_url == value

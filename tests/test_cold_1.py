"""Addresses that cannot be used are refused with a sentence, and without the password."""

import os
import subprocess
import sys

import pytest

from app.settings import BadSetting, Settings
from tests.conftest import ROOT


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

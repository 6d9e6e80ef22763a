"""A command about a site that there is not says so."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize(
    "arguments",
    [("webhooks", "endpoint", "list", "999"), ("webhooks", "attempts", "999", "evt_1"), ("diary", "999")],
)
def test_a_site_that_there_is_not_is_named(clone_url: str, arguments: tuple[str, ...]) -> None:
    """An empty list looks as if nobody had registered, tried or done anything: `payout list` refuses."""
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env={**os.environ, "CASHIER_DATABASE_URL": clone_url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no site 999" in done.stderr

"""What README.md and docs/connect.md show to a newcomer works as it is written."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from app import cli
from app.settings import Settings
from tests.conftest import ROOT
from tests.processes.running import Home, Player, browser, running, until

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("commands")]


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with running() as made:
        yield made


def code_of(document: str, language: str = "python") -> str:
    """The one block of a language in a document."""
    [block] = re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE
    )
    return str(block)


def test_the_example_of_the_readme_opens_the_cashier(home: Home, tmp_path: Path) -> None:
    (tmp_path / "var").symlink_to(home.data_dir)
    program = [sys.executable, "-c", code_of("README.md")]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    page = browser().get(done.stdout.strip())
    assert page.status_code == 200
    assert 'name="form_token"' in page.text


def test_the_example_of_the_integrators_knows_our_messages(home: Home) -> None:
    example: dict[str, Any] = {}
    exec(code_of("docs/connect.md"), example)  # noqa: S102  our own document
    vector = {
        "site_id": 1,
        "site_login": "test_login",
        "customer_ip": "1.2.3.4",
        "currency": "USD",
        "language": "",
    }
    assert example["sign"](vector, "test_salt") == "2cbf8ea150a654d1c7ad4a97c240ee093d7f76b8"
    demo = home.demo
    player = Player(demo)
    player.deposit("1 500")
    player.decide("approve")
    until(lambda: bool(player.shop()["webhooks"]), "the notification")
    for heard in (player.shop()["callouts"][-1], player.shop()["webhooks"][-1]):
        message = json.loads(heard["body"])
        assert example["is_ours"](message, ["another", demo["salt"]])
        assert not example["is_ours"](message | {"amount": 1}, [demo["salt"]])
        body = heard["body"].encode()
        assert example["is_ours_and_fresh"](heard["headers"], body, demo["webhook_secret"])
        assert not example["is_ours_and_fresh"](heard["headers"], body + b" ", demo["webhook_secret"])


def test_the_readme_names_every_setting_and_shows_a_picture() -> None:
    readme = (ROOT / "README.md").read_text()
    source = (ROOT / "app/settings.py").read_text()
    named = set(re.findall(r"CASHIER_[A-Z_]+[A-Z]", source))
    assert len(named) >= len(fields(Settings))
    assert named - set(re.findall(r"CASHIER_[A-Z_]+[A-Z]", readme)) == set()
    for link in re.findall(r"\]\(([^)#:]+)\)", readme + (ROOT / "docs/connect.md").read_text()):
        assert (ROOT / link).exists() or (ROOT / "docs" / link).exists(), link
    assert (ROOT / "docs/images/cashier.png").stat().st_size > 10_000


@pytest.mark.parametrize("group", ["site", "provider", "token", "operator"])
def test_the_readme_lists_every_command_of_a_group(group: str) -> None:
    [listed] = re.findall(rf"`{group} ([a-z |-]+)`", (ROOT / "README.md").read_text())
    [made] = [one.typer_instance for one in cli.program.registered_groups if one.name == group]
    assert made is not None
    assert set(listed.split(" | ")) == {one.name for one in made.registered_commands}

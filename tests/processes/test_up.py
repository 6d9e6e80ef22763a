"""`cashier up`, as a person uses it: started, used, ended, killed, started again."""

import os
import signal
import socket
import stat
import time
from collections.abc import Iterator

import pytest

from tests.processes.running import PATIENCE_SECONDS, Home, Player, home, until

pytestmark = pytest.mark.timeout(120)
READY_SECONDS = 60.0
IDLE_BYTES = 500 * 10**6
PROMISED = {
    "base_url",
    "merchant_url",
    "site_id",
    "salt",
    "currency",
    "api_tokens",
    "webhook_secret",
    "staff",
}


@pytest.fixture
def here() -> Iterator[Home]:
    with home() as made:
        yield made


def deposited(here: Home, amount: str = "1 500") -> Player:
    """A deposit from the key to the balance at the shop."""
    player = Player(here.demo)
    before = player.shop()["balances_minor"]["aigerim"]
    assert player.deposit(amount)["stage"] == "go_to_provider"
    player.decide("approve")
    player.until_stage("success")
    until(lambda: bool(player.shop()["balances_minor"]["aigerim"] > before), "the shop's balance")
    return player


def test_from_nothing_to_a_deposit_and_back_to_nothing(here: Home) -> None:
    began = time.monotonic()
    supervisor = here.up()
    everything = here.processes()
    # Each page once (PSS): the plain sum counts PostgreSQL's shared buffers again for every backend.
    idle = {" ".join(process.cmdline()): process.memory_full_info().pss for process in everything}
    assert sum(idle.values()) < IDLE_BYTES, idle
    player = deposited(here)
    assert time.monotonic() - began < READY_SECONDS
    assert player.shop()["balances_minor"] == {"aigerim": 150_000, "daniyar": 0, "gulnara": 0}
    file = here.data_dir / "demo.json"
    assert here.demo.keys() >= PROMISED
    assert here.demo["api_tokens"].keys() == {"wallet", "play", "read"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for word in ("starting PostgreSQL", "migrating", "seeding", here.demo["merchant_url"], str(file)):
        assert word in here.said
    assert here.demo["salt"] not in here.said
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(PATIENCE_SECONDS) == 0
    assert here.processes() == []
    assert "Traceback" not in here.said
    assert "Fatal" not in here.said


def test_ctrl_c_in_the_middle_of_the_start_leaves_nothing(here: Home) -> None:
    supervisor = here.spawn("up")
    until(lambda: "starting PostgreSQL" in here.said, "the first words")
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(PATIENCE_SECONDS) == 0
    assert here.processes() == []
    assert "Traceback" not in here.said


def test_a_killed_run_is_followed_by_one_that_works(here: Home) -> None:
    supervisor = here.up()
    first = deposited(here)
    supervisor.kill()
    supervisor.wait()
    again = here.up()  # at once: the children of the first are just leaving, PostgreSQL still runs
    assert here.demo["site_id"] == first.demo["site_id"]
    assert here.demo["salt"] == first.demo["salt"]
    deposited(here)
    again.kill()
    again.wait()
    until(lambda: here.names() == {"postgres"}, "only PostgreSQL is left")
    postmaster = here.postmaster
    assert postmaster is not None
    postmaster.kill()
    until(lambda: not here.processes(), "PostgreSQL is dead")
    # After a crash the number may belong to anybody: here it is ours.
    stale = here.data_dir / "postgres" / "postmaster.pid"
    stale.write_text(stale.read_text().replace(str(postmaster.pid), str(os.getpid()), 1))
    last = here.up()
    deposited(here)
    assert here.command("verify", "--full").returncode == 0
    last.terminate()
    assert last.wait(PATIENCE_SECONDS) == 0
    assert here.processes() == []


def test_what_is_in_the_way_is_said_with_the_setting_that_helps(here: Home) -> None:
    for name in ("CASHIER_PORT", "CASHIER_MERCHANT_PORT", "CASHIER_SANDBOX_PORT"):
        with socket.create_server(("127.0.0.1", 0)) as stranger:
            port = stranger.getsockname()[1]
            here.more = {name: str(port)}
            refused = here.run_module("app.demo.up")
            assert refused.returncode == 1
            assert f"port {port} is taken by another program; set {name} to another one" in refused.stderr
    here.more = {"CASHIER_PORT": str(here.merchant_port)}
    assert "must be three ports" in here.run_module("app.demo.up").stderr
    here.more = {"CASHIER_DATA_DIR": "/dev/null/var"}
    assert "CASHIER_DATA_DIR cannot be used" in here.run_module("app.demo.up").stderr
    here.more = {"CASHIER_PORT": "http"}
    assert "CASHIER_PORT must be a number" in here.run_module("app.demo.up").stderr
    here.more = {"CASHIER_DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:9/cashier"}
    refused = here.run_module("app.demo.up")
    assert "the database of CASHIER_DATABASE_URL cannot be used" in refused.stderr
    assert "secret" not in refused.stderr
    assert "Traceback" not in refused.stderr
    assert here.processes() == []


def test_a_second_run_on_the_same_folder_is_refused_and_the_first_goes_on(here: Home, clone_url: str) -> None:
    here.more = {"CASHIER_DATABASE_URL": clone_url}  # one that others run: nothing is embedded
    supervisor = here.up()
    assert here.postmaster is None
    second = here.command("up")
    assert second.returncode == 1
    assert f"the cashier already runs on {here.data_dir}" in second.stderr
    assert "CASHIER_DATA_DIR" in second.stderr
    deposited(here)
    supervisor.send_signal(signal.SIGHUP)  # the terminal was closed
    assert supervisor.wait(PATIENCE_SECONDS) == 0
    assert here.processes() == []


def test_when_one_process_dies_the_rest_is_ended_and_it_is_said(here: Home, clone_url: str) -> None:
    here.more = {"CASHIER_DATABASE_URL": clone_url}
    supervisor = here.up()
    here.ours("app.worker").kill()
    assert supervisor.wait(PATIENCE_SECONDS) == 1
    assert "the worker ended with status -9; stopping the rest" in here.said
    assert here.processes() == []

"""Real processes of ours, started through the command line as a person starts them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
import psutil

from tests.conftest import ROOT
from tests.demo.servers import sha1_signed
from tests.stories.stage import free_port

PATIENCE_SECONDS = 30.0


def until(is_true: Callable[[], bool], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for something that another process does in its own time."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.03)


@dataclass
class Home:
    """A data folder and ports that nobody else uses, and the environment that names them."""

    data_dir: Path
    port: int = field(default_factory=free_port)
    merchant_port: int = field(default_factory=free_port)
    sandbox_port: int = field(default_factory=free_port)
    more: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("CASHIER_")},
            "CASHIER_DATA_DIR": str(self.data_dir),
            "CASHIER_PORT": str(self.port),
            "CASHIER_MERCHANT_PORT": str(self.merchant_port),
            "CASHIER_SANDBOX_PORT": str(self.sandbox_port),
            **self.more,
        }

    @property
    def demo(self) -> dict[str, Any]:
        """What demo.json says."""
        found: dict[str, Any] = json.loads((self.data_dir / "demo.json").read_text())
        return found

    @property
    def said(self) -> str:
        """Everything that the processes wrote."""
        return (self.data_dir / "said").read_text()

    @property
    def postmaster(self) -> psutil.Process | None:
        """The embedded PostgreSQL, if it runs."""
        return next((found for found in self.processes() if found.name() == "postgres"), None)

    def command(self, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run `cashier ...` to its end."""
        return self.run_module("app.cli", *arguments, **environ)

    def run_module(self, module: str, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run a module of ours to its end."""
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env=self.environ | environ,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def spawn(self, *arguments: str, **environ: str) -> "subprocess.Popen[bytes]":
        """Start `cashier ...`; its words go to `said`."""
        return self.spawn_module("app.cli", *arguments, **environ)

    def spawn_module(self, module: str, *arguments: str, **environ: str) -> "subprocess.Popen[bytes]":
        """Start a module of ours."""
        with self._words() as words:
            return subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=self.environ | environ,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                start_new_session=True,
            )

    def up(self) -> "subprocess.Popen[bytes]":
        """Start `cashier up` and wait until it says that everything runs."""
        known = self.said.count("Ctrl-C ends") if (self.data_dir / "said").exists() else 0
        process = self.spawn("up")
        until(lambda: self.said.count("Ctrl-C ends") > known or process.poll() is not None, "up")
        assert process.poll() is None, self.said
        return process

    def processes(self) -> list[psutil.Process]:
        """Every process of this home that lives: ours by their environment, PostgreSQL by its folder."""
        return [found for found in psutil.process_iter() if self._is_ours(found)]

    def names(self) -> set[str]:
        """What they are called; one that ends while it is asked has no name any more."""
        found = set()
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                found.add(process.name())
        return found

    def ours(self, module: str) -> psutil.Process:
        """The one process that runs a module of ours."""
        [found] = [process for process in self.processes() if module in process.cmdline()]
        return found

    def clean(self) -> None:
        """End whatever a failed test left, and forget the folder."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        until(lambda: not self.processes(), "everything killed")
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            if process.name() == "postgres":
                return bool(process.cwd().startswith(str(self.data_dir)))
            return bool(process.environ().get("CASHIER_DATA_DIR") == str(self.data_dir))
        except psutil.Error:
            return False

    def _words(self) -> IO[bytes]:
        return (self.data_dir / "said").open("ab")


@contextmanager
def home(**more: str) -> Iterator[Home]:
    """A home for the time of a block; nothing of it lives on afterwards."""
    made = Home(Path(tempfile.mkdtemp(prefix="cashier-up-")), more=more)
    try:
        yield made
    finally:
        made.clean()


@contextmanager
def running(**more: str) -> Iterator[Home]:
    """A home with `cashier up` running in it."""
    with home(**more) as made:
        process = made.up()
        yield made
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 0, made.said


def browser() -> httpx.Client:
    """A client that leaves no connection behind: the servers it talks to are killed."""
    return httpx.Client(timeout=20, trust_env=False, headers={"connection": "close"})


@dataclass
class Player:
    """Somebody with a browser and no patience for pages: the same requests, without drawing anything."""

    demo: Mapping[str, Any]
    login: str = "aigerim"
    browser: httpx.Client = field(default_factory=browser)
    payment_page: str = ""

    def obtain_key(self) -> httpx.Response:
        """Ask for a key as the site's server does."""
        fields: dict[str, str | int] = {
            "site_id": self.demo["site_id"],
            "site_login": self.login,
            "customer_ip": "127.0.0.1",
            "currency": self.demo["currency"],
        }
        signed = sha1_signed(fields, self.demo["salt"])
        parameters = {name: str(value) for name, value in signed.items()}
        return self.browser.get(f"{self.demo['base_url']}/api/authlink/obtain/", params=parameters)

    def form(self, amount: str, method: str = "card") -> dict[str, str]:
        """Open the cashier and fill its form."""
        key = str(self.obtain_key().json()["key"])
        page = self.browser.get(f"{self.demo['base_url']}/open", params={"key": key})
        found = re.search(r'name="form_token" value="([^"]+)"', page.text)
        assert found is not None, page.text
        return {"key": key, "form_token": found[1], "method": method, "amount": amount, "lang": "en"}

    def deposit(self, amount: str, method: str = "card") -> dict[str, Any]:
        """Press Pay; returns what the payment page says then."""
        answer = self.browser.post(f"{self.demo['base_url']}/cashier/deposit", data=self.form(amount, method))
        assert answer.status_code == 303, answer.text
        self.payment_page = self.demo["base_url"] + answer.headers["location"].partition("?")[0]
        return self.look()

    def look(self) -> dict[str, Any]:
        """What the payment page says now."""
        shown: dict[str, Any] = self.browser.get(f"{self.payment_page}/status").json()
        return shown

    def decide(self, script: str) -> str:
        """Choose at the provider's page; returns the address it sends the browser back to."""
        answer = self.browser.post(str(self.look()["continue_url"]), data={"script": script})
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def until_stage(self, stage: str) -> None:
        """Wait until the payment page shows a stage."""
        until(lambda: bool(self.look()["stage"] == stage), f"{stage}, but {self.look()}")

    def shop(self) -> dict[str, Any]:
        """What the demo shop knows."""
        found: dict[str, Any] = self.browser.get(f"{self.demo['merchant_url']}/demo/state").json()
        return found

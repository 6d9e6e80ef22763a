"""What a process really writes: one line an event, nothing secret in it, nothing forged."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

CARD = "4111111111111111"
SECRETS = (
    "salt-4f1d",
    "whsec_9b2c",
    "tok_77aa",
    "hunter2",
    "key-c0ffee",
    CARD,
    "4111 1111 1111 1111",
    "cvv-321",
)
FORGED = '{"event":"forged"}'

PROGRAM = """
import asyncio, logging, sys, threading, warnings
import structlog
from app.plumbing import logs

logs.configure("debug", as_json=sys.argv[1] == "json")
log = structlog.get_logger("test")

structlog.contextvars.bind_contextvars(request_id="req_1", api_token="tok_77aa")
log.info("fields", salt="salt-4f1d", site_id=7, amount_minor=1050, pan="4111111111111111",
         nested={"webhook_secret": "whsec_9b2c", "list": [{"password": "hunter2"}],
                 "card": "4111111111111111"},
         note="card 4111 1111 1111 1111", cvv="cvv-321")
log.info("in the event: salt=salt-4f1d https://merchant.example/?key=key-c0ffee&a=1")
log.warning("lines", text='first\\r\\n{"event":"forged"}\\u2028{"event":"forged"}\\x1b[31m')
log.info('event\\n{"event":"forged"}', **{'name\\n{"event":"forged"}': 1})
try:
    raise ValueError('password=hunter2 4111111111111111\\n{"event":"forged"}')
except ValueError:
    log.exception("failed", token="tok_77aa")
    logging.getLogger("a.library").exception("failed with key=key-c0ffee")
logging.getLogger("a.library").warning("%s\\n%s", "api_key: key-c0ffee", '{"event":"forged"}')
logging.getLogger("httpx").info("GET https://merchant.example/?key=key-c0ffee")
warnings.warn("a library warns of password=hunter2")


async def forgotten():
    async def fails():
        raise RuntimeError("token=tok_77aa")
    task = asyncio.create_task(fails())
    await asyncio.sleep(0.01)
    del task

asyncio.run(forgotten())
thread = threading.Thread(target=lambda: 1 / 0 if True else None, name="worker token=tok_77aa")
thread.start()
thread.join()
raise RuntimeError("the end: secret=whsec_9b2c 4111111111111111")
"""


def written(form: str) -> str:
    """Everything that a process wrote on its standard error."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, form],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "default", "NO_COLOR": "1"},
        timeout=30,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    return done.stderr


@pytest.fixture(scope="module")
def json_lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in written("json").splitlines()]


@pytest.fixture(scope="module")
def console() -> str:
    return written("console")


def test_json_is_one_object_a_line(json_lines: list[dict[str, Any]]) -> None:
    for line in json_lines:
        assert {"event", "level", "logger", "timestamp"} <= line.keys()
        assert line["event"] != "forged"
    first = json_lines[0]
    assert (first["event"], first["level"], first["logger"]) == ("fields", "info", "test")
    assert (first["request_id"], first["site_id"], first["amount_minor"]) == ("req_1", 7, 1050)
    assert first["timestamp"].endswith("Z")


def test_no_secret_and_no_card_is_written(json_lines: list[dict[str, Any]], console: str) -> None:
    for text in (json.dumps(json_lines, ensure_ascii=False), console):
        for secret in SECRETS:
            assert secret not in text
    assert json_lines[0]["salt"] == json_lines[0]["api_token"] == "***"
    assert json_lines[0]["nested"]["card"] == "411111...1111"


def test_what_was_meant_is_still_there(json_lines: list[dict[str, Any]]) -> None:
    events = [line["event"] for line in json_lines]
    assert "in the event: salt=*** https://merchant.example/?key=***&a=1" in events
    assert sum("ValueError" in line.get("exception", "") for line in json_lines) == 2
    assert any("a library warns" in event for event in events)
    assert any("exception was never retrieved" in event for event in events)
    assert not any("GET https" in event for event in events), "a library's access lines"


def test_the_exception_that_ends_the_process_is_an_event_too(json_lines: list[dict[str, Any]]) -> None:
    last = json_lines[-1]
    assert (last["event"], last["level"], last["logger"]) == ("crashed", "critical", "process")
    assert "RuntimeError: the end" in last["exception"]
    assert any("ZeroDivisionError" in line.get("exception", "") for line in json_lines[:-1]), "a thread's"


def test_no_line_on_the_console_is_forged(console: str) -> None:
    for line in console.splitlines():
        assert not line.startswith(FORGED)
        assert line[:1].isdigit() or line.startswith("    "), f"neither an event nor a traceback: {line!r}"
    assert "\x1b[31m" not in console


def test_a_level_hides_what_is_below_it() -> None:
    program = (
        "import structlog, logging; from app.plumbing import logs\n"
        "logs.configure('warning', as_json=True)\n"
        "structlog.get_logger('a').info('hidden'); logging.getLogger('b').info('hidden')\n"
        "structlog.get_logger('a').warning('seen'); logging.getLogger('b').warning('seen')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["seen", "seen"]

"""Structured logs: one event a line, JSON for machines or colours for people.

Redaction is the last thing before writing.
"""

import logging
import sys
import threading
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, Final

import structlog

from app.kernel.masking import mask_value

__all__ = ["configure"]

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure(level: str, *, as_json: bool) -> None:
    """Set up logging for this process, ours and that of libraries.

    Args:
        level: debug, info, warning or error.
        as_json: one JSON object a line (production), else for reading.
    """
    renderer = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    last: list[structlog.typing.Processor] = [] if as_json else [_unfolded]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redacted,
                *last,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_LEVELS[level])
    # Their lines hold addresses with keys in the query, and every request is logged by us.
    for noisy in ("httpx", "httpcore", "uvicorn.access", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("pgqueuer").setLevel(logging.ERROR)
    # Warnings and what ends a thread or the process would else be written past the redaction.
    logging.captureWarnings(capture=True)
    sys.excepthook = _crashed
    threading.excepthook = _thread_crashed


def _crashed(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    logging.getLogger("process").critical("crashed", exc_info=(kind, error, traceback))


def _thread_crashed(end: threading.ExceptHookArgs) -> None:
    if end.exc_value is not None and not isinstance(end.exc_value, SystemExit):
        _crashed(end.exc_type, end.exc_value, end.exc_traceback)


def _redacted(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    masked = mask_value(dict(event))
    assert isinstance(masked, dict)
    return masked


def _unfolded(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A traceback over its lines again, for people; in JSON it stays on one.

    Indented, because an error's text may be a stranger's and hold a line that looks like ours.
    """
    if isinstance(event.get("exception"), str):
        event["exception"] = "    " + event["exception"].replace("\\n", "\n    ")
    return event

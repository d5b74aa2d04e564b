"""How log lines are written: one an event on standard error, as JSON or for a console."""

import json
import logging
import re
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import orjson
import structlog

from app.core.observability import with_circumstances
from app.core.settings import Settings

# PostgreSQL tells the values of a row that breaks a constraint; this is where they stand in a chain of exceptions
ROW = re.compile(r"\nDETAIL: .*?(?=\n\n(?:The above exception|During handling)|\Z)", re.DOTALL)
Event = MutableMapping[str, Any]


class _StandardError:
    """The stream that is standard error when a line is written; it holds back no whole line."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Nothing is held back."""


def configure_logging(settings: Settings) -> None:
    """One line an event on standard error, as JSON or for a console; the standard library's logs too."""
    console = settings.log_format == "console"
    # pretty tracebacks show the values of variables, and a text that is not quoted can forge a line
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback, repr_native_str=True)
    rendering: list[Any] = [_with_fault, plain if console else _json]
    # straight to the stream: the standard library would make two records of each line
    structlog.configure(
        processors=[with_circumstances, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[with_circumstances, structlog.stdlib.add_logger_name],
            processors=[remove_meta, *rendering],
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    logging.getLogger("uvicorn.access").disabled = True


def _json(_: Any, __: str, event: Event) -> str:
    """An event as JSON in ASCII: no character of a caller's is taken for the end of a line."""
    with suppress(TypeError):  # half a surrogate pair is not for ``orjson``
        if (line := orjson.dumps(event, default=repr)).isascii():
            return line.decode()
    return json.dumps(event, default=repr)


def _with_fault(logger: Any, name: str, event: Event) -> Event:
    """The traceback of a fault as text, without the values of its row."""
    if event.get("exc_info"):
        event = structlog.processors.format_exc_info(logger, name, event)
        event["exception"] = ROW.sub("", event.get("exception", ""))
    return event

"""Log lines: what each says of its request, and how it is written, on standard error as JSON or for a console."""

import json
import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
import structlog

# PostgreSQL tells the values of a row that breaks a constraint; this is where they stand in a chain of exceptions
ROW = re.compile(r"\nDETAIL: .*?(?=\n\n(?:The above exception|During handling)|\Z)", re.DOTALL)
Event = MutableMapping[str, Any]
_told: ContextVar[dict[str, str]] = ContextVar("told")  # what every log line of a request says of it


def configure_logging(level: str, log_format: Literal["json", "console"]) -> None:
    """One line an event of a level, or above it, on standard error; the standard library's logs too."""
    rendering: list[Any] = [_with_fault, _for_console() if log_format == "console" else _json]
    filtering = structlog.make_filtering_bound_logger(level)
    structlog.configure(
        processors=[_with_circumstances, *rendering],
        wrapper_class=type("Lines", (filtering,), {"_proxy_to_logger": _write_facts}),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_with_circumstances, structlog.stdlib.add_logger_name],
            processors=[remove_meta, *rendering],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.getLogger("uvicorn.access").disabled = True


def tell_first(**facts: str) -> None:
    """Say this of a request that begins, and forget what was said of others."""
    _told.set(facts)


def tell(**facts: str) -> None:
    """Say this of the request in each of its further log lines."""
    _told.get({}).update(facts)


def write(log: Any, level: str, event: Event) -> None:
    """Write an event of the bound logger ``log``, whatever levels it is for; ``event["event"]`` says what happened.

    On the way of ``structlog``'s own four mappings are made of each event.
    """
    line: Any = event
    for processor in log._processors:  # noqa: SLF001 - it is for those who wrap loggers
        line = processor(None, level, line)
    sys.stderr.write(f"{line}\n")


def _write_facts(log: Any, level: str, event: str | None = None, **facts: Any) -> None:
    write(log, level, {"event": event, **facts})


def _with_circumstances(_: Any, level: str, event: Event) -> Event:
    """An event with its level, its time and what was said of its request: a processor of ``structlog``."""
    return {**_told.get({}), **event, "level": level, "timestamp": datetime.now(UTC)}


def _json(_: Any, __: str, event: Event) -> str:
    """An event as JSON in ASCII: no character of a caller's is taken for the end of a line."""
    try:
        line = orjson.dumps(event, default=repr, option=orjson.OPT_UTC_Z)
    except TypeError:  # half a surrogate pair is not for ``orjson``
        return _escaped_json(event)
    return line.decode() if line.isascii() else _escaped_json(event)


def _escaped_json(event: Event) -> str:
    return json.dumps(_with_time_as_text(event), default=repr)


def _for_console() -> Callable[[Any, str, Event], str]:
    """A renderer for people."""
    # pretty tracebacks show the values of variables, and a text that is not quoted can forge a line
    render = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback, repr_native_str=True)
    return lambda logger, level, event: render(logger, level, _with_time_as_text(event))


def _with_time_as_text(event: Event) -> Event:
    return {**event, "timestamp": event["timestamp"].isoformat().replace("+00:00", "Z")}


def _with_fault(logger: Any, name: str, event: Event) -> Event:
    """The traceback of a fault as text, without the values of its row."""
    if event.get("exc_info"):
        event = structlog.processors.format_exc_info(logger, name, event)
        event["exception"] = ROW.sub("", event.get("exception", ""))
    return event

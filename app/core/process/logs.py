"""Logging: structured lines on standard error, as JSON or for a console, with the context of their request."""

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

# PostgreSQL's DETAIL of a broken constraint has the row's values; this matches it in a traceback.
ROW_VALUES = re.compile(r"\nDETAIL: .*?(?=\n\n(?:The above exception|During handling)|\Z)", re.DOTALL)
Event = MutableMapping[str, Any]
_context: ContextVar[dict[str, str]] = ContextVar("log_context")  # fields of every log line of a request


def configure_logging(level: str, log_format: Literal["json", "console"]) -> None:
    """Write events of a level and above to standard error, one a line, those of the standard library too."""
    renderers: list[Any] = [_with_traceback, _console_renderer() if log_format == "console" else _render_json]
    filtering = structlog.make_filtering_bound_logger(level)
    structlog.configure(
        processors=[_with_context, *renderers],
        wrapper_class=type("Lines", (filtering,), {"_proxy_to_logger": _write_event}),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_with_context, structlog.stdlib.add_logger_name],
            processors=[remove_meta, *renderers],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.getLogger("uvicorn.access").disabled = True


def begin_context(**fields: str) -> None:
    """Begin the log context of a request with these fields."""
    _context.set(fields)


def bind_context(**fields: str) -> None:
    """Add fields to the log context of the request."""
    _context.get({}).update(fields)


def write(log: Any, level: str, event: Event) -> None:
    """Write an event, with its text as ``event["event"]``, by the processors of a bound logger; ignore its level.

    ``structlog``'s own way copies each event four times.
    """
    line: Any = event
    for processor in log._processors:  # noqa: SLF001 - for wrappers of loggers
        line = processor(None, level, line)
    sys.stderr.write(f"{line}\n")


def _write_event(log: Any, level: str, event: str | None = None, **fields: Any) -> None:
    write(log, level, {"event": event, **fields})


def _with_context(_: Any, level: str, event: Event) -> Event:
    """Add the level, the time and the log context to an event; a processor of ``structlog``."""
    return {**_context.get({}), **event, "level": level, "timestamp": datetime.now(UTC)}


def _render_json(_: Any, __: str, event: Event) -> str:
    """Render an event as ASCII JSON, so that no character from a caller is read as a line break."""
    try:
        line = orjson.dumps(event, default=repr, option=orjson.OPT_UTC_Z)
    except TypeError:  # ``orjson`` refuses lone surrogates
        return _escaped_json(event)
    return line.decode() if line.isascii() else _escaped_json(event)


def _escaped_json(event: Event) -> str:
    return json.dumps(_with_time_as_text(event), default=repr)


def _console_renderer() -> Callable[[Any, str, Event], str]:
    """Return a renderer for people."""
    # rich tracebacks show the values of variables; unquoted texts could forge lines
    render = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback, repr_native_str=True)
    return lambda logger, level, event: render(logger, level, _with_time_as_text(event))


def _with_time_as_text(event: Event) -> Event:
    return {**event, "timestamp": event["timestamp"].isoformat().replace("+00:00", "Z")}


def _with_traceback(logger: Any, name: str, event: Event) -> Event:
    """Add the traceback of an exception as text, without the values of database rows."""
    if event.get("exc_info"):
        event = structlog.processors.format_exc_info(logger, name, event)
        event["exception"] = ROW_VALUES.sub("", event.get("exception", ""))
    return event

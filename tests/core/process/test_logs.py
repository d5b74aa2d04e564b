"""Logging: a line is one event of a level that is written, in a form that can be parsed."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from app.core.process.logs import begin_context, bind_context, configure_logging, write


@pytest.fixture(autouse=True)
def _configuration_restored() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.mark.parametrize("text", ["plain", "a\nb", "é\u2028", "half \ud800"])
def test_any_text_is_one_line_of_json_with_its_time_in_utc(capsys: pytest.CaptureFixture[str], text: str) -> None:
    configure_logging("info", "json")
    structlog.get_logger().info("seen", text=text)
    line = capsys.readouterr().err
    assert line.isascii()
    assert line.count("\n") == 1
    event = json.loads(line)
    assert (event["event"], event["level"], event["text"]) == ("seen", "info", text)
    assert event["timestamp"].endswith("Z")
    assert datetime.now(UTC) - datetime.fromisoformat(event["timestamp"]) < timedelta(minutes=1)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    configure_logging("warning", log_format)  # type: ignore[arg-type]  # both are formats
    log = structlog.get_logger()
    log.info("quiet")
    log.warning("loud")
    logging.getLogger("a library").info("quiet")
    logging.getLogger("a library").warning("loud")
    written = capsys.readouterr().err
    assert (written.count("quiet"), written.count("loud")) == (0, 2)


def test_write_and_the_logger_write_the_same_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    log = structlog.get_logger().bind()
    log.info("seen", number=1)
    write(log, "info", {"event": "seen", "number": 1})
    one, other = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert {**one, "timestamp": ""} == {**other, "timestamp": ""}


def test_a_request_begins_without_the_context_of_the_one_before(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    begin_context(request_id="1")
    bind_context(client_id="a")
    structlog.get_logger().info("first")
    begin_context(request_id="2")
    structlog.get_logger().info("second")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["request_id"], first["client_id"], second["request_id"]) == ("1", "a", "2")
    assert "client_id" not in second


def test_fields_of_an_event_override_those_of_the_request(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("info", "json")
    begin_context(client_id="the caller")
    structlog.get_logger().info("disabled", client_id="another")
    assert json.loads(capsys.readouterr().err)["client_id"] == "another"

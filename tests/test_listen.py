"""The commands that print events as they come, and that send them signed to a receiver on this machine."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from standardwebhooks import Webhook

from tests.support import processes
from tests.support.feed import serving
from tests.support.receiver import receiving
from tests.support.service import Caller, Service
from tests.support.webhooks import tell
from tests.test_cli import ran


@asynccontextmanager
async def listening(caller: Caller, url: str, told: Path, command: str, *options: str) -> AsyncIterator[None]:
    """Run a command of a group while the block runs, with its output in ``told``."""
    login = caller.credentials
    environment = {"PUBLIC_URL": url, "CLIENT_ID": login.client_id, "CLIENT_SECRET": login.client_secret}
    with told.open("ab") as out:
        process = processes.start(command, {"PATH": os.environ["PATH"], **environment}, out, ["listen", *options])
    try:
        await until(lambda: "Listening" in told.read_text())
        yield
    finally:
        await asyncio.to_thread(processes.kill, process)


async def until(happened: Callable[[], bool]) -> None:
    async def answer() -> bool:
        return happened()

    await processes.until(answer)


def printed(told: Path) -> list[str]:
    return [line for line in told.read_text().splitlines() if "Listening" not in line]


async def test_events_are_printed_as_they_come_and_those_of_before_are_not(
    service: Service, pseb: Caller, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    await tell(pseb, "bulk_upload.failed")
    async with serving(service.app) as url, listening(pseb, url, told, "events", "--type", "bulk_upload.*"):
        first, second = await tell(pseb, "bulk_upload.received", "bulk_upload.completed", note="یہ")
        await tell(pseb, "applicant.created")
        await until(lambda: len(printed(told)) == 2)
    events = [json.loads(line) for line in printed(told)]
    assert {each["id"]: each["type"] for each in events} == {
        str(first): "bulk_upload.received",
        str(second): "bulk_upload.completed",
    }


async def test_events_are_sent_to_a_receiver_with_a_signature_that_libraries_verify(
    service: Service, pseb: Caller, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    (last,) = await tell(pseb, "bulk_upload.failed")
    async with receiving() as receiver, serving(service.app) as url:
        to = f"http://127.0.0.1:{receiver.port}/hook"
        async with listening(pseb, url, told, "webhooks", "--to", to, "--after", str(last)):
            (opened,) = await tell(pseb, "bulk_upload.received", note="یہ")
            await until(lambda: len(receiver.received) == 1 and len(printed(told)) == 3)
    request = receiver.received[0]
    secret = printed(told)[0].removeprefix("secret ")
    sent = Webhook(secret).verify(request.body, request.headers)
    shown = (await pseb.get(f"/v1/events?after={last}")).json()["items"]
    assert sent == {"type": "bulk_upload.received", "timestamp": shown[0]["occurred_at"], "data": shown[0]}
    assert request.headers["webhook-id"] == str(opened)
    assert printed(told)[2] == f"bulk_upload.received {opened}: 204"


async def test_a_receiver_that_does_not_answer_is_printed_and_the_next_event_is_sent(
    service: Service, pseb: Caller, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    to = f"http://127.0.0.1:{processes.free_port()}"
    async with serving(service.app) as url, listening(pseb, url, told, "webhooks", "--to", to):
        for count in (3, 4):
            await tell(pseb, "bulk_upload.received")
            await until(lambda count=count: len(printed(told)) == count)  # type: ignore[misc]  # a default is bound
    assert all("no response" in line for line in printed(told)[2:])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("events", "listen", "--as", "nobody"), "no demo client nobody"),
        (("webhooks", "listen", "--to", "here"), "http://127.0.0.1:9000/events"),
        (("webhooks", "listen", "--to", "http://x", "--secret", "whsec_%"), "whsec_ and base64"),
    ],
)
async def test_options_that_cannot_be_used_are_refused_in_plain_words(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "demo-credentials.json").write_text('{"token_url": "http://x/oauth/token", "clients": {"pseb": {}}}')
    done = await ran({"DATA_DIR": str(tmp_path), "COLUMNS": "200"}, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


async def test_credentials_and_positions_that_are_unknown_are_told(service: Service, pseb: Caller) -> None:
    login = pseb.credentials
    async with serving(service.app) as url:
        given = {"PUBLIC_URL": url, "CLIENT_ID": login.client_id, "CLIENT_SECRET": "wrong"}
        refused = await ran(given, "events", "listen")
        assert (refused.returncode, "CLIENT_SECRET" in refused.stderr) == (1, True)
        unknown = await ran(
            {**given, "CLIENT_SECRET": login.client_secret}, "events", "listen", "--after", str(uuid4())
        )
        assert (unknown.returncode, "no event with this id" in unknown.stderr) == (1, True)

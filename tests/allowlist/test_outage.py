"""When the database is out of reach the list goes on being served."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from app.core.settings import Settings
from tests.support import cases
from tests.support.postgres import settings_for
from tests.support.service import Caller, Service


class Line:
    """The only way from a service to its database, which a test can cut and mend."""

    def __init__(self, database_url: str, here: Path) -> None:
        there = parse_qs(urlsplit(database_url).query)["host"][0]
        self.url = database_url.replace(there, str(here))
        self._ends = [str(each / ".s.PGSQL.5432") for each in (here, Path(there))]
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def mend(self) -> None:
        """Let calls through."""
        self._server = await asyncio.start_unix_server(self._call, self._ends[0])

    async def cut(self) -> None:
        """End every call and let none through."""
        if self._server:
            self._server.close()
            for call in self._calls:
                call.cancel()
            await asyncio.gather(*self._calls, return_exceptions=True)
            self._server, self._calls = None, set()

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_unix_connection(self._ends[1])
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            self._calls.add(asyncio.create_task(_pass_on(source, sink)))


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()
        with suppress(OSError):
            await sink.wait_closed()


@pytest.fixture
async def line(database_url: str, tmp_path: Path) -> AsyncIterator[Line]:
    """The line to the test's database."""
    line = Line(database_url, tmp_path)
    await line.mend()
    yield line
    await line.cut()


@pytest.fixture
def settings(line: Line) -> Settings:
    """Settings of a process that reaches the database by the line alone."""
    return settings_for(line.url)


async def test_without_the_database_the_last_list_is_served_and_says_how_old_it_is(
    service: Service, line: Line, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    case = await cases.approved(pseb, officer)
    await service.publish()
    fresh = await nayatel.get("/v1/allowlist")
    assert not {"age", "warning"} & set(fresh.headers)
    await line.cut()
    reader = service.app.state.reader
    with pytest.raises(OSError):  # noqa: PT011  # whatever the system says of a line that is cut
        await reader.refresh()
    reader._confirmed -= 60

    stale = await nayatel.get("/v1/allowlist")
    assert (stale.status_code, stale.json()) == (200, fresh.json())
    assert int(stale.headers["Age"]) >= 60
    assert stale.headers["Warning"].startswith("110 ")
    held = await nayatel.get("/v1/allowlist", headers={"If-None-Match": fresh.headers["ETag"]})
    assert (held.status_code, int(held.headers["Age"]) >= 60) == (304, True)
    address = case["networks"][0].removesuffix("/32")
    assert (await nayatel.get(f"/v1/allowlist/check?address={address}")).json()["allowed"]

    await line.mend()
    await reader.refresh()
    assert "age" not in (await nayatel.get("/v1/allowlist")).headers


async def test_a_token_that_was_called_back_stays_so_without_the_database(
    service: Service, line: Line, pseb: Caller, admin: Caller, nayatel: Caller
) -> None:
    await cases.approved(pseb, admin)
    await service.publish()
    path = f"/v1/partners/{nayatel.credentials.partner_id}/clients/{nayatel.credentials.id}"
    assert (await admin.post(f"{path}/disable", headers={"If-Match": '"1"'})).status_code == 200
    await service.app.state.revocations.refresh()
    await line.cut()
    with pytest.raises(OSError):  # noqa: PT011  # whatever the system says of a line that is cut
        await service.app.state.revocations.refresh()
    assert (await pseb.get("/v1/allowlist")).status_code == 200
    assert (await nayatel.get("/v1/allowlist")).status_code == 401


async def test_without_the_database_what_needs_it_is_unavailable_and_nobody_is_turned_away(
    service: Service, line: Line, pseb: Caller, nayatel: Caller
) -> None:
    assert (await nayatel.get("/v1/allowlist/publications")).status_code == 200
    await line.cut()
    for answer in (
        await nayatel.get("/v1/allowlist"),
        await nayatel.get("/v1/allowlist/publications"),
        await nayatel.get("/v1/registrations"),
        await pseb.post("/v1/applicants", json=cases.company()),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    await line.mend()
    assert (await pseb.get("/v1/applicants")).json()["items"] == []

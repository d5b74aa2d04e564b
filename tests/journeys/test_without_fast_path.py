"""The fast path changes nothing but speed: without it, its operations keep to the OpenAPI document too."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
import schemathesis

from app import api
from app.core.http import fast_route
from app.core.http.fast_route import FastRoute
from app.core.settings import Settings
from tests.journeys.test_openapi import CHECKS, exercise, login_of, made, values_by_operation
from tests.support import processes, random_walks
from tests.support.service import Caller, Service

FAST = {
    route.name
    for router in api.ROUTERS
    for route in router.routes
    if isinstance(route, FastRoute) and fast_route._parameters_of(route)
}


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    """An API without the fast path, and a worker."""
    port = processes.free_port()
    command = [sys.executable, "-m", "tests.support.without_fast_path", "serve"]
    url = f"http://127.0.0.1:{port}"
    with (
        subprocess.Popen(command, env=processes.api_environment(settings, port)) as process,
        processes.running("worker", processes.environment(settings)),
    ):
        try:
            processes.wait_until_live(url, process)
            yield url
        finally:
            process.terminate()


def test_the_busiest_operations_are_on_the_fast_path() -> None:
    assert {"create_registration", "list_registrations", "get_registration", "check_address", "get_allowlist"} <= FAST


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_without_the_fast_path_its_operations_keep_to_the_document(
    service: Service, url: str, pseb: Caller, admin: Caller
) -> None:
    ids = {**await made(service, pseb, admin), "if-match": "*"}
    own = await values_by_operation(service, pseb, admin)
    calls = await asyncio.to_thread(exercise, url, login_of(admin), ids, FAST)
    assert calls > 10 * len(FAST)
    async with httpx.AsyncClient(base_url=url) as http:
        answers = {each: await http.post("/oauth/token", data=login_of(each)) for each in (pseb, admin)}
    tokens = {each: answer.json()["access_token"] for each, answer in answers.items()}
    examples = random_walks.Calls(
        lambda operation: tokens[pseb if operation.method == "post" else admin],
        lambda name: {**ids, **own.get(name, {})},
        CHECKS,
    )
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json").include(operation_id=sorted(FAST))
    await asyncio.to_thread(examples.make_example_calls, schema)
    assert examples.refused == {}
    assert examples.answered.keys() == FAST

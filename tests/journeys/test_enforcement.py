"""The commands of docs/enforcement/ run as they are shown, and give what is shown."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.support import processes
from tests.support.documented import shown_commands
from tests.support.feed import FEED, granted
from tests.support.service import Caller, Service

PAGES = Path(__file__).parents[2] / "docs" / "enforcement"
FIRST = shown_commands(PAGES / "curl.md")[0].partition("./fetch-allowlist text")[0]  # makes fetch-allowlist
NETWORKS = ["203.99.50.5/32", "203.99.50.16/29", "2400:1460:1::/48"]
PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
# the programs of each page, beside curl
PROGRAMS = {
    "curl": (),
    "nftables": ("nft", "nsenter"),
    "ipset": ("ipset", "nsenter"),
    "haproxy": ("haproxy", "socat"),
    "squid": ("squid",),
    "nginx": ("nginx",),
    "bird": ("bird", "birdc"),
}
# commands of programs that change the kernel, which they do in a network namespace; these only ask
KERNEL = {"nft": ("list", "ruleset"), "ipset": ("list",)}


@pytest.fixture
def namespace() -> Iterator[str]:
    """The id of a process in a network namespace of its own."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace that commands enter one after the other needs root")
    with subprocess.Popen(["unshare", "--net", "sleep", "600"]) as holder:
        time.sleep(0.2)
        if holder.poll() is not None:
            pytest.skip("this kernel gives no network namespace")
        yield str(holder.pid)
        holder.kill()


def stop_programs(directory: Path) -> None:
    """End the programs that the commands of a page have started, by the files in which they say their numbers."""
    for file in directory.glob("*.pid"):
        for number in file.read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(number), signal.SIGTERM)


async def run_page(name: str, directory: Path, environment: dict[str, str]) -> str:
    """Run the commands of a page in ``directory``, and return what they print."""
    commands, _ = shown_commands(PAGES / f"{name}.md")
    script = re.sub(r"127\.0\.0\.1:(?:8080|8081|3128)", f"127.0.0.1:{processes.free_port()}", commands)
    made = "" if name == "curl" else FIRST
    done = await asyncio.to_thread(
        subprocess.run, ["bash", "-eu"], input=made + script, cwd=directory, env=environment,
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_page_with_commands_that_can_run_is_run() -> None:
    runnable = {page.stem for page in PAGES.glob("*.md") if shown_commands(page)[0]}
    assert runnable == set(PROGRAMS)


def test_the_index_has_every_page() -> None:
    index = (PAGES / "README.md").read_text()
    assert {page.name for page in PAGES.glob("*.md")} - {"README.md"} == set(
        re.findall(r"^\| .*?\((\S+\.md)\)", index, re.MULTILINE)
    )


def skip_without(name: str) -> None:
    for program in ("curl", *PROGRAMS[name]):
        if shutil.which(program, path=PATH) is None:
            pytest.skip(f"{program} is not installed")


def commands_directory(directory: Path) -> Path:
    """Make a directory for commands, in one that programs may read when they have become another user."""
    directory.chmod(0o755)
    commands = directory / "bin"
    commands.mkdir()
    return commands


def enter_namespace(directory: Path, program: str, namespace: str) -> None:
    """Make a command of the same name that runs in the namespace of a process."""
    command = directory / program
    command.write_text(
        f'#!/bin/sh\nexec nsenter --net=/proc/{namespace}/ns/net {shutil.which(program, path=PATH)} "$@"\n'
    )
    command.chmod(0o755)
    if subprocess.run([command, *KERNEL[program]], capture_output=True, check=False).returncode:
        pytest.skip(f"this kernel has nothing for {program}")


async def environment_for(caller: Caller, url: str, directory: Path) -> dict[str, str]:
    """The variables that the pages use, once the API serves the list."""
    client = caller.credentials

    async def is_served() -> bool:
        async with httpx.AsyncClient(auth=(client.client_id, client.client_secret)) as http:
            return (await http.get(f"{url}{FEED}")).is_success

    await processes.until(is_served)
    return {
        "PATH": f"{directory}:{PATH}",
        "REGISTER": url,
        "HOST": "127.0.0.1",
        "CLIENT_ID": client.client_id,
        "CLIENT_SECRET": client.client_secret,
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
async def test_the_commands_of_a_page_give_what_is_shown(
    service: Service, nayatel: Caller, url: str, tmp_path: Path, name: str, request: pytest.FixtureRequest
) -> None:
    skip_without(name)
    commands = commands_directory(tmp_path)
    for program in set(PROGRAMS[name]) & set(KERNEL):
        enter_namespace(commands, program, request.getfixturevalue("namespace"))
    await granted(service, NETWORKS)  # the worker publishes them
    try:
        said = await run_page(name, tmp_path, await environment_for(nayatel, url, commands))
    finally:
        stop_programs(tmp_path)
    assert said == shown_commands(PAGES / f"{name}.md")[1]


def fetch(directory: Path, environment: dict[str, str], command: str) -> tuple[int, list[str], set[str]]:
    """Fetch the list as text; return the exit status, the networks in the file, and the files."""
    script = f"{FIRST}\n./fetch-allowlist text list {command}"
    done = subprocess.run(["bash", "-eu"], input=script, cwd=directory, env=environment, text=True, check=False)
    return done.returncode, (directory / "list").read_text().split(), {each.name for each in directory.iterdir()}


@pytest.mark.slow
async def test_a_failed_fetch_keeps_the_file_and_a_failed_command_is_owed(
    service: Service, nayatel: Caller, url: str, tmp_path: Path
) -> None:
    skip_without("curl")
    await granted(service, NETWORKS)
    environment = await environment_for(nayatel, url, tmp_path)
    files = {"credentials", "fetch-allowlist", "list", "list.tag"}
    for command, status, made in (("false", 1, set()), ("touch a", 0, {"a"}), ("touch b", 0, {"a"})):
        done = await asyncio.to_thread(fetch, tmp_path, environment, command)
        assert done == (status, NETWORKS, files | made)
    for changes, status in (({"REGISTER": "http://127.0.0.1:9"}, 7), ({"CLIENT_SECRET": "wrong"}, 22)):
        done = await asyncio.to_thread(fetch, tmp_path, environment | changes, "touch c")
        assert done == (status, NETWORKS, files | {"a"})

"""Clients that are generated from openapi.json compile and bring a registration from the application to the feed."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.partners.rules import PartnerKind
from tests.support.service import Caller, Service

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "contract"
SCRIPTS = CONTRACT / "node_modules" / ".bin"
GENERATOR = CONTRACT / "python"
NODE = shutil.which("node")
DONE = {
    "decided": True,
    "network": "203.99.50.16/29",
    "status": "approved",
    "history": ["registration.submitted", "registration.approved"],
}

needs_npm = pytest.mark.skipif(not (NODE and SCRIPTS.is_dir()), reason="needs Node.js and `make contract`")
needs_generator = pytest.mark.skipif(not GENERATOR.is_dir(), reason="needs `make contract`")


@pytest.fixture
async def callers(url: str, service: Service, pseb: Caller, officer: Caller) -> dict[str, str]:
    """The environment variables of a journey: the URL and each client's credentials."""
    nayatel = await service.credentials("nayatel", PartnerKind.OPERATOR, operator="nayatel")
    named = {"ASSOCIATION": pseb.credentials, "OFFICER": officer.credentials, "OPERATOR": nayatel}
    ids = {f"{name}_CLIENT_ID": each.client_id for name, each in named.items()}
    return {"URL": url, **ids, **{f"{name}_CLIENT_SECRET": each.client_secret for name, each in named.items()}}


async def run(*command: object, cwd: Path, **environment: str) -> str:
    """Run a command that must succeed, with ``environment`` added to ours, and return its output."""

    def call() -> subprocess.CompletedProcess[str]:
        words = [str(each) for each in command]
        return subprocess.run(words, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False)

    done = await asyncio.to_thread(call)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def said(output: str) -> Any:
    return json.loads(output.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(300)
@needs_generator
async def test_a_generated_python_client_compiles_and_goes_the_whole_way(
    callers: dict[str, str], tmp_path: Path
) -> None:
    python = {"PYTHONPATH": str(GENERATOR), "MYPYPATH": str(GENERATOR)}
    options = ["--meta", "none", "--config", CONTRACT / "python-client.yaml", "--fail-on-warning"]
    package = tmp_path / "ip_registration_client"
    generate = [sys.executable, "-m", "openapi_python_client", "generate", "--path", ROOT / "openapi.json"]
    await run(*generate, "--output-path", package, *options, cwd=tmp_path, **python)
    journey = shutil.copy(CONTRACT / "journey.py", tmp_path)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--follow-imports", "silent", "--cache-dir", tmp_path / "cache"]
    await run(*mypy, "--config-file", os.devnull, package, journey, cwd=tmp_path, **python)
    assert said(await run(sys.executable, journey, cwd=tmp_path, **python, **callers)) == DONE


@pytest.mark.slow
@pytest.mark.timeout(300)
@needs_npm
async def test_a_generated_typescript_client_compiles_and_goes_the_whole_way(
    callers: dict[str, str], tmp_path: Path
) -> None:
    generate = [SCRIPTS / "openapi-typescript", ROOT / "openapi.json", "--default-non-nullable", "false"]
    await run(*generate, "-o", tmp_path / "schema.d.ts", cwd=tmp_path)
    for name in ("journey.ts", "tsconfig.json", "package.json"):
        shutil.copy(CONTRACT / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(CONTRACT / "node_modules")
    await run(SCRIPTS / "tsc", cwd=tmp_path)
    assert said(await run(NODE, "journey.js", cwd=tmp_path, **callers)) == DONE

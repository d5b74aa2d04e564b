"""The files for containers: limits, no privileges, images that can be pinned, and no secret of their own."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture
def services() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    found: dict[str, Any] = loaded["services"]
    return found


def test_each_container_has_a_limit_of_memory_and_of_processes(services: dict[str, Any]) -> None:
    assert set(services) >= {"database", "migrate", "api", "worker"}
    for name, service in services.items():
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert "no-new-privileges:true" in service["security_opt"], name


def test_every_image_can_be_named_with_its_digest_and_none_is_invented(services: dict[str, Any]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE) == ["${PYTHON_IMAGE}"] * 2
    assert re.findall(r"^ARG (\S+)", dockerfile, re.MULTILINE) == ["PYTHON_IMAGE=python:3.12-slim"]
    assert services["database"]["image"] == "${POSTGRES_IMAGE:-postgres:18}"
    assert {each["build"]["args"]["PYTHON_IMAGE"] for each in services.values() if "build" in each} == {
        "${PYTHON_IMAGE:-python:3.12-slim}"
    }
    assert "sha256:" not in dockerfile.replace("@sha256:...", "")


def test_no_secret_has_a_default() -> None:
    given = re.findall(r"\$\{(\w*(?:KEY|PASSWORD)\w*)([^}]*)\}", (ROOT / "compose.yaml").read_text())
    assert {name for name, _ in given} == {"SECRET_KEY", "POSTGRES_PASSWORD", "APP_PASSWORD"}
    assert all(rest.startswith(":?") for _, rest in given)

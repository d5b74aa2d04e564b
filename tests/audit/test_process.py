"""The sequencer runs in a child process that a worker starts, restarts, and ends with itself."""

import signal
from collections.abc import Iterator
from functools import partial

import httpx
import psutil
import pytest

from app.audit.process import NICENESS
from app.core.settings import Settings
from tests.support import processes
from tests.support.audit_trees import count_leaves, record_events, verify_log
from tests.support.processes import Running
from tests.support.service import Service

pytestmark = pytest.mark.slow


@pytest.fixture
def metrics_port() -> int:
    return processes.free_port()


@pytest.fixture
def worker(settings: Settings, metrics_port: int) -> Iterator[Running]:
    with processes.running("worker", processes.environment(settings, WORKER_METRICS_PORT=str(metrics_port))) as worker:
        yield worker


async def has_size(service: Service, size: int) -> bool:
    return await count_leaves(service) == size


async def sequencing(service: Service, worker: Running, size: int) -> psutil.Process:
    """Return the sequencer's process once the tree has ``size`` leaves."""
    await processes.until(partial(has_size, service, size))
    (found,) = (each for each in psutil.Process(worker.pid).children() if "spawn_main" in " ".join(each.cmdline()))
    return found


async def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def test_a_killed_sequencer_is_replaced(service: Service, worker: Running) -> None:
    await record_events(service, "test.before")
    first = await sequencing(service, worker, 1)
    first.kill()
    await processes.until(partial(gone, first))
    await record_events(service, "test.after")
    second = await sequencing(service, worker, 2)
    assert second.pid != first.pid
    assert (await verify_log(service)).size == 2


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_it_ends_with_its_worker(service: Service, worker: Running, how: signal.Signals) -> None:
    await record_events(service, "test.event")
    process = await sequencing(service, worker, 1)
    worker.send_signal(how)
    await processes.until(partial(gone, process), 10)


async def test_it_ignores_the_ctrl_c_that_the_worker_handles(service: Service, worker: Running) -> None:
    await record_events(service, "test.before")
    process = await sequencing(service, worker, 1)
    process.send_signal(signal.SIGINT)
    await record_events(service, "test.after")
    assert await sequencing(service, worker, 2) == process


async def test_it_runs_at_the_lowest_priority(service: Service, worker: Running) -> None:
    await record_events(service, "test.event")
    assert (await sequencing(service, worker, 1)).nice() == psutil.Process(worker.pid).nice() + NICENESS


async def test_the_worker_exports_the_size_of_the_tree(service: Service, worker: Running, metrics_port: int) -> None:
    await record_events(service, "test.1", "test.2", "test.3")

    async def told() -> bool:
        async with httpx.AsyncClient() as http:
            return "\naudit_tree_size 3.0\n" in (await http.get(f"http://127.0.0.1:{metrics_port}/metrics")).text

    await sequencing(service, worker, 3)
    await processes.until(told)

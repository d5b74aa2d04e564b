"""The honest caller beside an attack notices what it is there for."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import psutil
import pytest

from tests.attacks.witness import Report

Witness = Callable[[], AbstractContextManager[Report]]


def test_a_service_that_nobody_attacks_answers_in_time(witness: Witness) -> None:
    with witness() as report:
        time.sleep(2)
    report.assert_served()


def test_a_service_that_stands_still_is_noticed(witness: Witness, url: str) -> None:
    port = int(url.rpartition(":")[2])
    (serving,) = (each for each in psutil.Process().children(recursive=True) if _listens(each, port))
    with witness() as report:
        time.sleep(1)
        os.kill(serving.pid, signal.SIGSTOP)
        time.sleep(1.5)
        os.kill(serving.pid, signal.SIGCONT)
    with pytest.raises(AssertionError, match="liveness took"):
        report.assert_served()


def _listens(process: psutil.Process, port: int) -> bool:
    return any(each.laddr.port == port for each in process.net_connections() if each.status == psutil.CONN_LISTEN)

"""Requests to URLs of partners reach public receivers only."""

import gzip
from asyncio import StreamWriter, sleep
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpcore
import pytest

from app.core.outbound.client import Outbound, Unreachable
from app.core.outbound.url_policy import UrlRefused
from app.core.settings import Settings
from tests.support import hostile_urls, postgres
from tests.support.receiver import Authority, Received, Receiver, answering, receiving

NAME = "receiver.example"
PUBLIC, PUBLIC_6 = "203.99.160.5", "2400:1460:1::5"


def settings(**changes: Any) -> Settings:
    return postgres.settings_for("postgresql://unused", **changes)


class Network(httpcore.AsyncNetworkBackend):
    """A network backend that records addresses, and connects those on this machine to the receiver's port."""

    def __init__(self, port: int) -> None:
        self.asked: list[str] = []
        self._port = port
        self._real = httpcore.AnyIOBackend()

    async def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        self.asked.append(host)
        if host in (PUBLIC, PUBLIC_6):
            raise httpcore.ConnectError
        del port
        return await self._real.connect_tcp(host, self._port, *args, **kwargs)


class Names:
    """A resolver that gives one answer after another, and repeats the last."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        del port
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver by plain HTTP."""
    async with receiving() as receiver:
        yield receiver


def to(receiver: Receiver, **changes: Any) -> Outbound:
    """An outbound client that is allowed to reach the receiver."""
    return Outbound(settings(outbound_allowed=[f"127.0.0.1:{receiver.port}"], **changes))


def url_of(receiver: Receiver, path: str = "/") -> str:
    return f"http://127.0.0.1:{receiver.port}{path}"


@pytest.mark.parametrize("url", hostile_urls.URLS)
async def test_a_url_that_leads_inside_is_refused_before_a_name_is_looked_up(receiver: Receiver, url: str) -> None:
    network, names = Network(receiver.port), Names(["127.0.0.1"])
    out = Outbound(settings(), names, network)
    with pytest.raises(UrlRefused) as refused:
        await out.request("POST", url, content=b"{}")
    assert len(refused.value.detail) < 200
    with pytest.raises(UrlRefused):
        out.check(url)
    assert (names.asked, network.asked, receiver.accepted) == ([], [], 0)


@pytest.mark.parametrize("address", hostile_urls.ADDRESSES)
async def test_a_name_that_has_an_address_inside_is_not_connected_to_not_even_at_its_public_one(
    receiver: Receiver, address: str
) -> None:
    for answer in ([address], [PUBLIC, address], [address, PUBLIC_6]):
        network, names = Network(receiver.port), Names(answer)
        with pytest.raises(UrlRefused) as refused:
            await Outbound(settings(), names, network).request("POST", f"https://{NAME}/")
        assert address not in refused.value.detail  # what a name means to this machine is not told
        assert (names.asked, network.asked, receiver.accepted) == ([NAME], [], 0)


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to(receiver: Receiver) -> None:
    network, names = Network(receiver.port), Names([PUBLIC], ["127.0.0.1"])
    out = Outbound(settings(), names, network)
    with pytest.raises(Unreachable):
        await out.request("POST", f"https://{NAME}/")
    assert (names.asked, network.asked) == ([NAME], [PUBLIC])
    with pytest.raises(UrlRefused):
        await out.request("POST", f"https://{NAME}/")
    assert (names.asked, network.asked, receiver.accepted) == ([NAME, NAME], [PUBLIC], 0)


async def test_each_address_of_a_name_is_tried(receiver: Receiver) -> None:
    network = Network(receiver.port)
    with pytest.raises(Unreachable):
        await Outbound(settings(), Names([PUBLIC_6, PUBLIC, PUBLIC]), network).request("GET", f"https://{NAME}/")
    assert network.asked == [PUBLIC_6, PUBLIC]


async def test_what_the_corpus_would_have_reached_is_there(receiver: Receiver) -> None:
    for host in ("127.0.0.1", "0.0.0.0"):
        out = Outbound(settings(outbound_allowed=[f"{NAME}:80"]), Names([host]), Network(receiver.port))
        assert (await out.request("GET", f"http://{NAME}/")).status == 204
    assert receiver.accepted == 2


async def test_a_network_that_the_service_may_speak_to_counts_as_public_and_no_other_does(receiver: Receiver) -> None:
    network = Network(receiver.port)
    out = Outbound(settings(outbound_allowed=["127.0.0.0/30", "fd00::/8"]), Names(["127.0.0.9"]), network)
    out.check("https://[fd00::1]/")
    for url in (f"https://{NAME}/", "https://10.0.0.1/", "http://127.0.0.1/", "https://127.0.0.1:8443/"):
        with pytest.raises(UrlRefused):
            await out.request("GET", url)
    assert network.asked == []
    with pytest.raises(Unreachable):
        await out.request("GET", "https://127.0.0.1/", seconds=0.2)
    assert (network.asked, receiver.accepted) == (["127.0.0.1"], 1)


@pytest.mark.parametrize("entry", ["localhost", "10.0.0.1/8", "10.0.0.0/33", "host:port", ":80", "10.0.0.0/x"])
def test_a_permission_that_cannot_be_read_stops_the_start(entry: str) -> None:
    with pytest.raises(ValueError, match=r"neither|host bits|does not appear"):
        Outbound(settings(outbound_allowed=[entry]))


async def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver) -> None:
    async with receiving() as inside:
        receiver.respond = answering(f"HTTP/1.1 307 Go\r\nLocation: {url_of(inside)}\r\n\r\n".encode())
        answer = await to(receiver).request("POST", url_of(receiver), content=b"{}")
        assert (answer.status, answer.headers["location"], inside.accepted) == (307, url_of(inside), 0)


async def test_no_proxy_of_the_environment_is_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{proxy.port}")
        assert (await to(receiver).request("GET", url_of(receiver))).status == 204
        assert (proxy.accepted, receiver.accepted) == (0, 1)


async def test_no_cookie_comes_back_and_no_connection_is_used_twice(receiver: Receiver) -> None:
    receiver.respond = answering(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n")
    out = to(receiver)
    for _ in range(2):
        await out.request("GET", url_of(receiver))
    assert receiver.accepted == 2
    assert "cookie" not in receiver.received[1].headers


async def test_an_answer_without_end_is_cut(receiver: Receiver) -> None:
    async def endless(_: Received, writer: StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 1_000)
            await writer.drain()

    receiver.respond = endless
    answer = await to(receiver).request("GET", url_of(receiver), limit=5_000)
    assert (answer.body, answer.cut) == (b"x" * 5_000, True)


async def test_an_answer_that_drips_is_not_waited_for(receiver: Receiver) -> None:
    async def dripping(_: Received, writer: StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await sleep(0.01)

    receiver.respond = dripping
    with pytest.raises(Unreachable, match=r"within 0\.2 seconds"):
        await to(receiver).request("GET", url_of(receiver), seconds=0.2)


async def test_headers_without_end_and_what_is_not_http_are_no_answer(receiver: Receiver) -> None:
    for raw in (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 50_000, b"220 mail.example ESMTP\r\n", b""):
        receiver.respond = answering(raw)
        with pytest.raises(Unreachable):
            await to(receiver).request("GET", url_of(receiver))


async def test_a_compressed_answer_is_not_unpacked(receiver: Receiver) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    receiver.respond = answering(head + bomb)
    answer = await to(receiver).request("GET", url_of(receiver))
    assert (answer.body, answer.cut) == (bomb, False)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A certificate authority that is trusted only when given."""
    return Authority(tmp_path)


async def test_the_certificate_must_be_of_a_known_authority_and_of_the_name_in_the_url(authority: Authority) -> None:
    async with receiving(authority.server(NAME)) as receiver:
        allowed = {"outbound_allowed": [f"{name}:{receiver.port}" for name in (NAME, "other.example")]}
        trusting, names = settings(**allowed, outbound_ca_file=authority.ca_file), Names(["127.0.0.1"])
        with pytest.raises(Unreachable, match="certificate was not accepted"):
            await Outbound(settings(**allowed), names).request("GET", f"https://{NAME}:{receiver.port}/")
        with pytest.raises(Unreachable, match="certificate was not accepted"):
            await Outbound(trusting, names).request("GET", f"https://other.example:{receiver.port}/")
        assert receiver.received == []
        answer = await Outbound(trusting, names).request("GET", f"https://{NAME}:{receiver.port}/hook?a=b")
        assert answer.status == 204
        (request,) = receiver.received
        assert (request.headers["host"], request.path) == (f"{NAME}:{receiver.port}", "/hook?a=b")


async def test_a_host_that_is_an_ipv6_address_is_named_in_brackets_without_the_port_of_its_scheme(
    receiver: Receiver,
) -> None:
    out = Outbound(settings(outbound_allowed=["[::1]:80"]), network=Loopback(receiver.port))
    assert (await out.request("GET", "http://[0:0::1]:80")).status == 204
    assert (receiver.received[0].headers["host"], receiver.received[0].path) == ("[::1]", "/")


class Loopback(Network):
    """A network backend that connects every address to the receiver."""

    async def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        del host
        return await super().connect_tcp("127.0.0.1", port, *args, **kwargs)

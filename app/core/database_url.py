"""URLs of the database, with one server or several (PostgreSQL docs, 32.1.1.3)."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, get_args
from urllib.parse import parse_qsl, quote, unquote, urlencode

SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")
DEFAULT_PORT = "5432"
SessionAttributes = Literal["any", "primary", "standby", "prefer-standby", "read-write", "read-only"]


@dataclass(frozen=True, slots=True)
class Server:
    """A host, or the directory of a Unix socket, and its port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A URL in parts.

    ``dsn`` has login, database and options without servers, for asyncpg. ``servers`` are in the order of the URL; empty
    when neither the URL nor ``PGHOST`` names any. ``attributes`` is what a server must be. ``connect_seconds`` is the
    deadline of one server, if the URL has one.
    """

    dsn: str
    username: str
    password: str
    servers: Sequence[Server]
    attributes: SessionAttributes
    connect_seconds: float | None


def parse(url: str) -> DatabaseUrl:
    """Parse ``postgresql://user:password@host:port,host:port/name?options``.

    Servers may also be options: ``host=a:5432&host=b:5432``, or ``host=a,b&port=5432,5433`` as libpq has them. Raises
    ``ValueError``, without the URL, which has a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in SCHEMES:
        raise ValueError("a URL of the database begins with postgresql://")
    place, _, query = rest.partition("?")
    authority, _, name = place.partition("/")
    login, _, listed = authority.rpartition("@")
    username, _, password = login.partition(":")
    options = parse_qsl(query, keep_blank_values=True)
    named = [value for key, value in options if key == "host"]
    ports = ",".join(value for key, value in options if key == "port")
    own = {key: value for key, value in options if key in ("target_session_attrs", "connect_timeout")}
    others = [(key, value) for key, value in options if key not in ("host", "port", *own)]
    hosts = chain.from_iterable(each.split(",") for each in ([unquote(listed)] if listed else named))
    options_left = f"?{urlencode(others, quote_via=quote)}" if others else ""
    servers = list(_servers([each for each in hosts if each] or _default_hosts(), ports))
    return DatabaseUrl(
        dsn=f"postgresql://{f'{login}@' if login else ''}/{name}{options_left}",
        username=unquote(username),
        password=unquote(password),
        servers=servers,
        attributes=_attributes(own.get("target_session_attrs") or os.environ.get("PGTARGETSESSIONATTRS") or "any"),
        connect_seconds=_seconds(own.get("connect_timeout", "0")),
    )


def _default_hosts() -> list[str]:
    return [each for each in os.environ.get("PGHOST", "").split(",") if each]


def _servers(hosts: Sequence[str], listed_ports: str) -> Iterator[Server]:
    ports = (listed_ports or os.environ.get("PGPORT") or DEFAULT_PORT).split(",")
    if len(ports) not in (1, len(hosts)) and hosts:
        raise ValueError(f"{len(ports)} ports do not fit {len(hosts)} hosts")
    for index, each in enumerate(hosts):
        host, port = each, ports[index if len(ports) > 1 else 0]
        if each.startswith("["):  # IPv6
            host, _, own = each[1:].partition("]")
            port = own.removeprefix(":") or port
        elif not each.startswith("/"):
            host, _, own = each.partition(":")
            port = own or port
        if not port.isdecimal() or not 0 < int(port) < 65_536 or not host:
            raise ValueError("a server of the URL has no host, or no port between 1 and 65535")
        yield Server(host, int(port))


def _attributes(value: str) -> SessionAttributes:
    for each in get_args(SessionAttributes):
        if value == each:
            found: SessionAttributes = each
            return found
    raise ValueError(f"target_session_attrs is one of {', '.join(get_args(SessionAttributes))}")


def _seconds(value: str) -> float | None:
    if not value.isdecimal():
        raise ValueError("connect_timeout is a number of seconds")
    return float(value) or None  # 0: none, as for libpq

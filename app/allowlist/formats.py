"""Formats of the allowlist: a function each, registered in ``FORMATS``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from pydantic import ConfigDict

from app.allowlist.snapshot import Snapshot
from app.core.validation.schemas import Resource, Timestamp

NAME = "ip_registration"
NETWORKS_PER_COMMAND = 2_000
# constant, since 'create -exist' refuses a set that exists with other options
MAX_ELEMENTS = 4_194_304
PLAIN = "text/plain; charset=utf-8"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class SnapshotBody(Resource):
    """The networks in force at a serial; `digest` is SHA-256 of the whole list's canonical text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "session": "019b2f6e-0000-7000-8000-000000000001",
                    "serial": 3,
                    "published_at": "2026-11-21T09:30:00.000000Z",
                    "count": 1,
                    "digest": DIGEST,
                    "networks": ["203.99.50.5/32"],
                }
            ]
        }
    )

    session: UUID
    serial: int
    published_at: Timestamp
    count: int
    digest: str
    networks: Sequence[str]

    @classmethod
    def of(cls, snapshot: Snapshot, networks: Sequence[str]) -> "SnapshotBody":
        """Build the body of a published snapshot that shows ``networks``; ``count`` is their number."""
        assert snapshot.published_at is not None
        return cls(
            session=snapshot.session,
            serial=snapshot.serial,
            published_at=snapshot.published_at,
            count=len(networks),
            digest=snapshot.digest,
            networks=networks,
        )


@dataclass(frozen=True, slots=True)
class Format:
    """A media type, and the function that encodes a snapshot: of one family (4, 6) or both (None)."""

    media_type: str
    encode: Callable[[Snapshot, int | None], str]


def _json(snapshot: Snapshot, family: int | None) -> str:
    """JSON with session, serial and digest."""
    return SnapshotBody.of(snapshot, snapshot.networks_of_family(family)).model_dump_json()


def _text(snapshot: Snapshot, family: int | None) -> str:
    """One CIDR per line, for External Dynamic Lists and pfSense; of both families, the text that the digest is of."""
    return "".join(f"{network}\n" for network in snapshot.networks_of_family(family))


def _csv(snapshot: Snapshot, family: int | None) -> str:
    """CSV with one column, ``network`` (RFC 4180)."""
    return "network\r\n" + "".join(f"{network}\r\n" for network in snapshot.networks_of_family(family))


def _header(snapshot: Snapshot, mark: str) -> str:
    return f"{mark} {NAME} session {snapshot.session} serial {snapshot.serial} digest {snapshot.digest}\n"


def _families(family: int | None) -> tuple[int, ...]:
    return (family,) if family else (4, 6)


def _nftables(snapshot: Snapshot, family: int | None) -> str:
    """Named sets in their own table, replaced in one transaction by ``nft -f``."""
    parts = [_header(snapshot, "#"), f"add table inet {NAME}\n"]
    for each in _families(family):
        name = f"allowlist{each}"
        parts.append(f"add set inet {NAME} {name} {{ type ipv{each}_addr; flags interval; }}\n")
        parts.append(f"flush set inet {NAME} {name}\n")
        networks = snapshot.networks_of_family(each)
        for start in range(0, len(networks), NETWORKS_PER_COMMAND):
            listed = ", ".join(networks[start : start + NETWORKS_PER_COMMAND])
            parts.append(f"add element inet {NAME} {name} {{ {listed} }}\n")
    return "".join(parts)


def _ipset(snapshot: Snapshot, family: int | None) -> str:
    """Sets for ``ipset restore``: filled under a temporary name, then swapped with the ones in use."""
    parts = [_header(snapshot, "#")]
    for each in _families(family):
        name, fresh = f"{NAME}{each}", f"{NAME}{each}_new"
        options = f"hash:net family {'inet' if each == 4 else 'inet6'} maxelem {MAX_ELEMENTS}"
        parts += [f"create {name} {options} -exist\n", f"create {fresh} {options} -exist\n", f"flush {fresh}\n"]
        parts += [f"add {fresh} {network}\n" for network in snapshot.networks_of_family(each)]
        parts += [f"swap {name} {fresh}\n", f"destroy {fresh}\n"]
    return "".join(parts)


def _bird(snapshot: Snapshot, family: int | None) -> str:
    """BIRD 2 prefix sets, to ``include`` in a configuration and match with ``net ~``."""
    parts = [_header(snapshot, "#")]
    for each in _families(family):
        listed = ",\n  ".join(snapshot.networks_of_family(each))
        parts.append(f"define {NAME.upper()}_{each} = [\n  {listed}\n];\n")
    return "".join(parts)


def _haproxy(snapshot: Snapshot, family: int | None) -> str:
    """ACL or map file for ``acl registered src -f FILE``."""
    return _header(snapshot, "#") + _text(snapshot, family)


def _squid(snapshot: Snapshot, family: int | None) -> str:
    """ACL file for ``acl registered src "FILE"``."""
    return _header(snapshot, "#") + _text(snapshot, family)


def _nginx(snapshot: Snapshot, family: int | None) -> str:
    """Lines to ``include`` in a ``geo`` block, with value 1 for a registered address."""
    return _header(snapshot, "#") + "".join(f"{network} 1;\n" for network in snapshot.networks_of_family(family))


def _mikrotik(snapshot: Snapshot, family: int | None) -> str:
    """RouterOS commands for ``/import``: fill a temporary address list, then replace the one in use by it.

    An import that is interrupted leaves the one in use unchanged.
    """
    parts = [_header(snapshot, "#")]
    for each in _families(family):
        menu = "/ip firewall address-list" if each == 4 else "/ipv6 firewall address-list"
        parts += [f"{menu}\n", f'remove [find list="{NAME}_new"]\n']
        parts += [f"add list={NAME}_new address={network}\n" for network in snapshot.networks_of_family(each)]
        parts += [f'remove [find list="{NAME}"]\n', f'set [find list="{NAME}_new"] list={NAME}\n']
    return "".join(parts)


def _cisco(snapshot: Snapshot, family: int | None) -> str:
    """IOS prefix lists, replaced as a whole; an empty family denies all, since a missing list permits all."""
    parts = [_header(snapshot, "!")]
    for each in _families(family):
        command = "ip prefix-list" if each == 4 else "ipv6 prefix-list"
        name = f"{NAME.upper()}_{each}"
        everything = "0.0.0.0/0 le 32" if each == 4 else "::/0 le 128"
        rules = [f"permit {network}" for network in snapshot.networks_of_family(each)] or [f"deny {everything}"]
        parts.append(f"no {command} {name}\n")
        parts += [f"{command} {name} seq {5 * number} {rule}\n" for number, rule in enumerate(rules, start=1)]
    return "".join(parts)


FORMATS = {
    "json": Format("application/json", _json),
    "text": Format(PLAIN, _text),
    "csv": Format("text/csv; charset=utf-8; header=present", _csv),
    "nftables": Format(PLAIN, _nftables),
    "ipset": Format(PLAIN, _ipset),
    "bird": Format(PLAIN, _bird),
    "haproxy": Format(PLAIN, _haproxy),
    "squid": Format(PLAIN, _squid),
    "nginx": Format(PLAIN, _nginx),
    "mikrotik": Format(PLAIN, _mikrotik),
    "cisco": Format(PLAIN, _cisco),
}

FormatName = StrEnum("FormatName", {name.upper(): name for name in FORMATS})  # type: ignore[misc]  # members are the registry's keys

"""Formats of the allowlist: a function each, registered in ``FORMATS``."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from app.allowlist.formats.cisco import write_cisco
from app.allowlist.formats.junos import write_junos
from app.allowlist.formats.lines import (
    write_crowdsec,
    write_csv,
    write_fortinet,
    write_haproxy,
    write_nginx,
    write_paloalto,
    write_squid,
    write_suricata,
    write_suricata_categories,
    write_text,
)
from app.allowlist.formats.linux import write_bird, write_ipset, write_nftables
from app.allowlist.formats.listing import Listing, Selection
from app.allowlist.formats.mikrotik import write_mikrotik
from app.allowlist.formats.snapshot_body import DIGEST, SnapshotBody, write_json
from app.allowlist.snapshot import Snapshot

__all__ = ["DIGEST", "FORMATS", "Format", "FormatName", "Listing", "Selection", "SnapshotBody", "formats_with"]

PLAIN, CSV = "text/plain; charset=utf-8", "text/csv; charset=utf-8; header=present"
NONE, AGGREGATE, PARTS = frozenset[str](), frozenset({"aggregate"}), frozenset({"aggregate", "max", "part"})


@dataclass(frozen=True, slots=True)
class Format:
    """A media type, the function that writes a listing, and the parameters that it takes beside ``family``.

    A part of the list is offered in no format that replaces a list by its name: it would be the whole list there.
    """

    media_type: str
    write: Callable[[Listing], str]
    parameters: frozenset[str]

    def encode(self, snapshot: Snapshot, selection: Selection) -> str:
        """Write the selected networks of a snapshot."""
        return self.write(Listing(snapshot, selection))


FORMATS = {
    "json": Format("application/json", write_json, NONE),
    "text": Format(PLAIN, write_text, PARTS),
    "csv": Format(CSV, write_csv, PARTS),
    "nftables": Format(PLAIN, write_nftables, AGGREGATE),
    "ipset": Format(PLAIN, write_ipset, AGGREGATE),
    "bird": Format(PLAIN, write_bird, AGGREGATE),
    "haproxy": Format(PLAIN, write_haproxy, PARTS),
    "squid": Format(PLAIN, write_squid, PARTS),
    "nginx": Format(PLAIN, write_nginx, PARTS),
    "mikrotik": Format(PLAIN, write_mikrotik, AGGREGATE),
    "cisco": Format(PLAIN, write_cisco, AGGREGATE),
    "junos": Format(PLAIN, write_junos, AGGREGATE),
    "fortinet": Format(PLAIN, write_fortinet, PARTS),
    "paloalto": Format(PLAIN, write_paloalto, PARTS),
    "crowdsec": Format(CSV, write_crowdsec, PARTS),
    "suricata": Format(PLAIN, write_suricata, PARTS),
    "suricata_categories": Format(PLAIN, write_suricata_categories, NONE),
}

FormatName = StrEnum("FormatName", {name.upper(): name for name in FORMATS})  # type: ignore[misc]  # members are the registry's keys


def formats_with(parameter: str) -> str:
    """The names of the formats that take a parameter, for a message."""
    return ", ".join(name for name, each in FORMATS.items() if parameter in each.parameters)

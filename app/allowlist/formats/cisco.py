"""Format of Cisco IOS and IOS XE: object groups with an ACL, and prefix lists with a route map.

The ACL and the route map are what is applied to interfaces and neighbours. They refer to copy A of the list. The
commands write copy B, refer to it beside A, drop A, write A anew, and return to it. So whatever command was the last,
they permit the old list, the new one or both. IOS has nothing that replaces a list at once, and a list that is not
there permits everything.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network

from app.allowlist.formats.lines import shortened
from app.allowlist.formats.listing import NAME, Listing

LIST = NAME.upper()
IP = {4: "ip", 6: "ipv6"}
ACL = {4: "ip access-list extended", 6: "ipv6 access-list"}
GROUP = {4: "object-group network", 6: "object-group v6-network"}
BITS = {4: "32", 6: "128"}
EVERYTHING = {4: "0.0.0.0/0 le 32", 6: "::/0 le 128"}
# for a family without networks, since no group is empty: addresses of documentation (RFC 5737, RFC 3849)
NOBODY = {4: "192.0.2.0/32", 6: "2001:db8::/128"}
# sequence numbers of the ACL's entries of each copy; an operator's own entries can have others
ENTRIES = {"A": (10, 11), "B": (20, 21)}


def write_cisco(listing: Listing) -> str:
    """IOS configuration commands that replace the list; at no time is it missing, empty or open."""
    families = (_write_family(family, listing.of_family(family)) for family in listing.families)
    return f"! {listing.title}\n" + "".join(families)


def _write_family(family: int, networks: Sequence[str]) -> str:
    lists = {copy: _write_copy(family, f"{LIST}_{family}_{copy}", networks) for copy in ("A", "B")}
    return (
        lists["B"]
        + _switch(family, "B", "A")
        + _remove(family, "A")
        + lists["A"]
        + _switch(family, "A", "B")
        + _remove(family, "B")
    )


def _write_copy(family: int, name: str, networks: Sequence[str]) -> str:
    members = (_member(family, network) for network in networks or [NOBODY[family]])
    group = f"{GROUP[family]} {name}\n" + "".join(f" {member}\n" for member in members) + "exit\n"
    rules = (_rule(family, network) for network in networks) if networks else (f"deny {EVERYTHING[family]}",)
    return group + "".join(f"{IP[family]} prefix-list {name} {rule}\n" for rule in rules)


def _member(family: int, network: str) -> str:
    address, _, length = network.partition("/")
    if length == BITS[family]:
        return f"host {address}"
    return f"{address} {IPv4Network(network).netmask}" if family == 4 else network


def _rule(family: int, network: str) -> str:
    """A rule for a network and, unless it is a single address, for every prefix inside it."""
    return f"permit {network}" + ("" if shortened(network) != network else f" le {BITS[family]}")


def _switch(family: int, copy: str, before: str) -> str:
    """Refer to a copy of the list, then no longer to the one before."""
    return (
        f"{ACL[family]} {LIST}_{family}\n"
        + "".join(f" {entry}\n" for entry in _acl_entries(family, copy))
        + "".join(f" no {'sequence ' if family == 6 else ''}{number}\n" for number in ENTRIES[before])
        + f"exit\nroute-map {LIST}_{family} permit 10\n"
        f" match {IP[family]} address prefix-list {LIST}_{family}_{copy}\n"
        f" no match {IP[family]} address prefix-list {LIST}_{family}_{before}\n"
        "exit\n"
    )


def _acl_entries(family: int, copy: str) -> tuple[str, str]:
    """The entries that permit packets from the networks of a copy, and packets to them."""
    group, (source, destination) = f"object-group {LIST}_{family}_{copy}", ENTRIES[copy]
    if family == 4:
        return f"{source} permit ip {group} any", f"{destination} permit ip any {group}"
    return f"sequence {source} permit ipv6 {group} any", f"sequence {destination} permit ipv6 any {group}"


def _remove(family: int, copy: str) -> str:
    """Remove a copy that nothing refers to."""
    name = f"{LIST}_{family}_{copy}"
    return f"no {GROUP[family]} {name}\nno {IP[family]} prefix-list {name}\n"

"""The commands for Cisco IOS, carried out one by one as IOS carries them out.

The part of IOS that is modelled here is of Cisco's "IOS Security Command Reference" (object-group, ip access-list, ipv6
access-list) and "IOS IP Routing: BGP Command Reference" (ip prefix-list, match ip address prefix-list): an object group
that an ACL refers to cannot be removed, an entry that is there is refused, several names in a `match` are alternatives,
and a prefix list that a route map refers to and that is not there permits everything. Nothing newer than what is used
here differs in IOS XE.
"""

import ipaddress
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import chain

import pytest

from app.allowlist.formats import FORMATS, Selection
from tests.support.feed import snapshot_of

OLD = ["154.192.0.5/32", "154.192.4.0/24", "154.192.5.0/29", "2400:1460::/48", "2400:1462::1/128"]
NEW = ["154.192.0.5/32", "154.192.4.0/25", "154.192.6.0/30", "2400:1460::/48", "2400:1463::/64"]
ADDRESSES = ["154.192.0.5", "154.192.4.1", "154.192.4.200", "154.192.5.7", "154.192.6.1", "8.8.8.8"]
ADDRESSES_6 = ["2400:1460::7", "2400:1462::1", "2400:1463::1", "2400:1464::1"]
ip_address, ip_network = lru_cache(ipaddress.ip_address), lru_cache(ipaddress.ip_network)


class Refused(Exception):
    """IOS refuses the command, says so, and goes on with the next."""


class Router:
    """The configuration that the commands work on, and what it permits."""

    def __init__(self) -> None:
        self.groups: dict[str, list[str]] = {}
        self.acls: dict[str, dict[int, tuple[str, str]]] = {}
        self.lists: dict[str, list[tuple[str, str, int]]] = {}
        self.route_maps: dict[str, list[str]] = {}
        self._mode = ("", "")

    def run(self, text: str) -> Iterator[str]:
        """Carry out each command, and give it when it is done."""
        for line in text.splitlines():
            with suppress(Refused):
                self._run(line)
            yield line

    def _run(self, line: str) -> None:
        if line.startswith("!"):
            return
        if line.startswith(" "):
            self._run_in_mode(*self._mode, line.strip())
        elif line == "exit":
            self._mode = ("", "")
        elif found := re.fullmatch(r"(?:object-group (?:v6-)?network) (\S+)", line):
            self.groups.setdefault(found[1], [])
            self._mode = ("group", found[1])
        elif found := re.fullmatch(r"(?:ip access-list extended|ipv6 access-list) (\S+)", line):
            self.acls.setdefault(found[1], {})
            self._mode = ("acl", found[1])
        elif found := re.fullmatch(r"route-map (\S+) permit 10", line):
            self.route_maps.setdefault(found[1], [])
            self._mode = ("route map", found[1])
        elif found := re.fullmatch(r"no object-group (?:v6-)?network (\S+)", line):
            if found[1] in {group for acl in self.acls.values() for group, _ in acl.values()}:
                raise Refused
            self.groups.pop(found[1], None)
        elif found := re.fullmatch(r"no ip(?:v6)? prefix-list (\S+)", line):
            self.lists.pop(found[1], None)
        else:
            self._add_rule(line)

    def _add_rule(self, line: str) -> None:
        found = re.fullmatch(r"ip(?:v6)? prefix-list (\S+) (permit|deny) (\S+)(?: le (\d+))?", line)
        assert found, f"no command of IOS: {line}"
        name, action, network, longest = found.groups()
        length = ip_network(network).prefixlen
        assert longest is None or int(longest) > length, f"le is not longer: {line}"
        rule = (action, network, int(longest or length))
        if rule in self.lists.setdefault(name, []):
            raise Refused
        self.lists[name].append(rule)

    def _run_in_mode(self, mode: str, name: str, line: str) -> None:
        if mode == "group":
            self.groups[name].append(self._member(line))
        elif mode == "acl" and (found := re.fullmatch(r"no (?:sequence )?(\d+)", line)):
            self.acls[name].pop(int(found[1]), None)
        elif mode == "acl":
            found = re.fullmatch(
                r"(?:sequence )?(\d+) permit ip(?:v6)? (?:object-group (\S+) any|any object-group (\S+))", line
            )
            assert found, f"no entry of an ACL: {line}"
            group = found[2] or found[3]
            assert self.groups.get(group), f"an empty group cannot be used: {line}"
            self.acls[name][int(found[1])] = (group, "source" if found[2] else "destination")
        else:
            found = re.fullmatch(r"(no )?match ip(?:v6)? address prefix-list (\S+)", line)
            assert found, f"no line of a route map: {line}"
            names = self.route_maps[name]
            if found[1] and found[2] in names:
                names.remove(found[2])
            elif not found[1] and found[2] not in names:
                names.append(found[2])

    @staticmethod
    def _member(line: str) -> str:
        if host := re.fullmatch(r"host (\S+)", line):
            return str(ip_network(host[1]))
        return str(ip_network(line.replace(" ", "/")))  # an address with a mask, or a prefix

    def permits_packet(self, acl: str, address: str, side: str) -> bool:
        """True when a packet from or to an address passes the ACL; an ACL ends in a denial of all."""
        return any(
            ip_address(address) in ip_network(member)
            for group, which in self.acls[acl].values()
            if which == side
            for member in self.groups[group]
        )

    def permits_route(self, route_map: str, prefix: str) -> bool:
        """True when the route map permits a route."""
        names = self.route_maps[route_map]
        return not names or any(self._is_permitted(name, prefix) for name in names)

    def _is_permitted(self, name: str, prefix: str) -> bool:
        if name not in self.lists:
            return True
        route = ip_network(prefix)
        for action, network, longest in self.lists[name]:
            rule = ip_network(network)
            if route.subnet_of(rule) and route.prefixlen <= longest:  # type: ignore[arg-type]  # both of one family
                return action == "permit"
        return False


def commands(networks: list[str]) -> str:
    return FORMATS["cisco"].encode(snapshot_of(networks), Selection())


def permitted(router: Router) -> tuple[set[str], set[str]]:
    """The addresses that are permitted as source, as destination and as a route; and those that are as any of these."""
    by_all, by_any = set(), set()
    for address in chain(ADDRESSES, ADDRESSES_6):
        family, bits = (6, 128) if ":" in address else (4, 32)
        name = f"IP_REGISTRATION_{family}"
        ways = [
            router.permits_packet(name, address, "source"),
            router.permits_packet(name, address, "destination"),
            router.permits_route(name, f"{address}/{bits}"),
        ]
        by_all |= {address} if all(ways) else set()
        by_any |= {address} if any(ways) else set()
    return by_all, by_any


def expected(networks: list[str]) -> set[str]:
    return {
        address
        for address in chain(ADDRESSES, ADDRESSES_6)
        if any(ip_address(address) in ip_network(network) for network in networks)
    }


def installed(networks: list[str]) -> Router:
    router = Router()
    list(router.run(commands(networks)))
    return router


def assert_left_clean(router: Router) -> None:
    """Nothing of copy B is left."""
    assert set(router.groups) == set(router.lists) == {"IP_REGISTRATION_4_A", "IP_REGISTRATION_6_A"}
    assert all(set(entries) == {10, 11} for entries in router.acls.values())


@pytest.mark.parametrize("networks", [OLD, OLD[:3], OLD[3:]], ids=["both", "no_ipv6", "no_ipv4"])
def test_the_list_permits_its_addresses_and_nothing_else(networks: list[str]) -> None:
    router = installed(networks)
    assert permitted(router) == (expected(networks), expected(networks))
    assert_left_clean(router)


def test_at_no_command_is_the_list_empty_or_open() -> None:
    router = installed(OLD)
    least, most = expected(OLD) & expected(NEW), expected(OLD) | expected(NEW)
    for line in router.run(commands(NEW)):
        by_all, by_any = permitted(router)
        assert least <= by_all <= by_any <= most, line
    assert permitted(router) == (expected(NEW), expected(NEW))
    assert_left_clean(router)


def test_commands_that_were_interrupted_anywhere_are_mended_by_the_next_list_without_a_gap() -> None:
    lines = commands(NEW).count("\n")
    kept = expected(OLD) & expected(NEW)
    for stop in range(lines):
        router = installed(OLD)
        for _, _ in zip(range(stop), router.run(commands(NEW)), strict=False):
            pass
        for line in router.run(commands(OLD)):
            by_all, by_any = permitted(router)
            assert kept <= by_all <= by_any <= expected(OLD) | expected(NEW), (stop, line)
        assert permitted(router) == (expected(OLD), expected(OLD)), stop
        assert_left_clean(router)


def test_an_operators_own_entries_of_the_acl_stay() -> None:
    router = installed(OLD)
    router.groups["OFFICE"] = ["192.0.2.1/32"]
    router.acls["IP_REGISTRATION_4"][100] = ("OFFICE", "source")
    list(router.run(commands(NEW)))
    assert router.acls["IP_REGISTRATION_4"][100] == ("OFFICE", "source")


def test_no_list_in_use_is_removed_first() -> None:
    removals = [line for line in commands(NEW).splitlines()[:3] if line.startswith("no ")]
    assert removals == []

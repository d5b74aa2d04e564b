"""Every format against its grammar, for lists of both families and of one."""

import csv
import io
import json
import re

import pytest

from app.allowlist.formats import FORMATS, FormatName
from tests.support.cases import codes
from tests.support.feed import FEED, published
from tests.support.service import Caller, Service

IPV4 = ["154.192.0.5/32", "154.192.4.0/24", "154.192.5.0/29"]
IPV6 = ["2400:1460::/48", "2400:1461:1::/48", "2400:1462::1/128"]
BOTH = IPV4 + IPV6

V4 = r"(?:\d{1,3}\.){3}\d{1,3}/\d{1,2}"
V6 = r"[0-9a-f:]+/\d{1,3}"
HEAD = r"ip_registration session [0-9a-f-]{36} serial \d+ digest [0-9a-f]{64}\n"


def repeated(line: str) -> str:
    return f"(?:{line})*"


def mikrotik(menu: str, item: str) -> str:
    return (
        rf'/{menu} firewall address-list\nremove \[find list="ip_registration_new"\]\n'
        + repeated(rf"add list=ip_registration_new address={item}\n")
        + r'remove \[find list="ip_registration"\]\n'
        + r'set \[find list="ip_registration_new"\] list=ip_registration\n'
    )


def cisco(menu: str, number: int, item: str) -> str:
    name = f"{menu} prefix-list IP_REGISTRATION_{number}"
    permits = f"(?:{name} seq [1-9]\\d* permit {item}\n)+"
    return f"no {name}\n(?:{permits}|{name} seq 5 deny (?:0\\.0\\.0\\.0/0 le 32|::/0 le 128)\n)"


def nftables(number: int, item: str) -> str:
    name = f"inet ip_registration allowlist{number}"
    return rf"add set {name} {{ type ipv{number}_addr; flags interval; }}\nflush set {name}\n" + repeated(
        rf"add element {name} {{ {item}(?:, {item})* }}\n"
    )


def ipset(number: int, family: str, item: str) -> str:
    name, options = f"ip_registration{number}", rf"hash:net family {family} maxelem \d+ -exist"
    return (
        f"create {name} {options}\ncreate {name}_new {options}\nflush {name}_new\n"
        + repeated(f"add {name}_new {item}\n")
        + f"swap {name} {name}_new\ndestroy {name}_new\n"
    )


def bird(number: int, item: str) -> str:
    return rf"define IP_REGISTRATION_{number} = \[\n  (?:{item}(?:,\n  {item})*)?\n\];\n"


# the head, what IPv4 is written as, what IPv6 is written as
GRAMMARS = {
    "text": ("", repeated(f"{V4}\n"), repeated(f"{V6}\n")),
    "csv": ("network\r\n", repeated(f"{V4}\r\n"), repeated(f"{V6}\r\n")),
    "nftables": (f"# {HEAD}add table inet ip_registration\n", nftables(4, V4), nftables(6, V6)),
    "ipset": (f"# {HEAD}", ipset(4, "inet", V4), ipset(6, "inet6", V6)),
    "bird": (f"# {HEAD}", bird(4, V4), bird(6, V6)),
    "haproxy": (f"# {HEAD}", repeated(f"{V4}\n"), repeated(f"{V6}\n")),
    "squid": (f"# {HEAD}", repeated(f"{V4}\n"), repeated(f"{V6}\n")),
    "nginx": (f"# {HEAD}", repeated(f"{V4} 1;\n"), repeated(f"{V6} 1;\n")),
    "mikrotik": (f"# {HEAD}", mikrotik("ip", V4), mikrotik("ipv6", V6)),
    "cisco": (f"! {HEAD}", cisco("ip", 4, V4), cisco("ipv6", 6, V6)),
}


async def served(caller: Caller, name: str, family: str = "") -> str:
    answer = await caller.get(f"{FEED}?format={name}{'&family=' + family if family else ''}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == FORMATS[name].media_type
    return answer.text


def test_every_format_that_is_offered_has_a_grammar_here() -> None:
    assert {"json", *GRAMMARS} == set(FORMATS) == {each.value for each in FormatName}


async def test_a_format_or_family_that_does_not_exist_is_refused(service: Service, nayatel: Caller) -> None:
    await published(service, *BOTH)
    for query, pointer in (("format=pdf", "/query/format"), ("family=5", "/query/family")):
        answer = await nayatel.get(f"{FEED}?{query}")
        assert answer.status_code == 422
        assert list(codes(answer)) == [pointer]


@pytest.mark.parametrize("networks", [BOTH, IPV4, IPV6], ids=["both", "no_ipv6", "no_ipv4"])
async def test_every_format_keeps_to_its_grammar_and_names_every_network_once(
    service: Service, nayatel: Caller, networks: list[str]
) -> None:
    await published(service, *networks)
    for name, (head, four, six) in GRAMMARS.items():
        for family, grammar in (("", head + four + six), ("4", head + four), ("6", head + six)):
            text = await served(nayatel, name, family)
            assert re.fullmatch(grammar, text), f"{name} {family}:\n{text}"
            allowed = [n for n in networks if not family or (":" in n) == (family == "6")]
            rules = "".join(line for line in text.splitlines(keepends=True) if "deny" not in line)
            assert re.findall(rf"{V4}|(?<![\w:]){V6}", rules) == allowed, f"{name} {family}"


async def test_a_family_without_networks_permits_nothing_where_a_missing_list_would_permit_all(
    service: Service, nayatel: Caller
) -> None:
    await published(service, *IPV4)
    assert "\nipv6 prefix-list IP_REGISTRATION_6 seq 5 deny ::/0 le 128\n" in await served(nayatel, "cisco")
    assert "define IP_REGISTRATION_6 = [" in await served(nayatel, "bird")


async def test_rules_are_numbered_upwards_for_cisco(service: Service, nayatel: Caller) -> None:
    await published(service, *BOTH)
    numbers = [int(n) for n in re.findall(r"seq (\d+)", await served(nayatel, "cisco", "4"))]
    assert numbers == [5, 10, 15]


async def test_long_lists_are_split_into_commands_of_a_bounded_length(service: Service, nayatel: Caller) -> None:
    many = [f"154.{192 + n // 65_536}.{n // 256 % 256}.{n % 256}/32" for n in range(2_001)]
    await published(service, *many)
    text = await served(nayatel, "nftables", "4")
    assert text.count("add element") == 2
    assert len(re.findall(V4, text)) == 2_001


async def test_json_text_and_csv_are_read_back_as_the_same_list(service: Service, nayatel: Caller) -> None:
    await published(service, *BOTH)
    assert json.loads(await served(nayatel, "json"))["networks"] == BOTH
    assert (await served(nayatel, "text")).splitlines() == BOTH
    assert [row["network"] for row in csv.DictReader(io.StringIO(await served(nayatel, "csv")))] == BOTH
    six = json.loads(await served(nayatel, "json", "6"))
    assert (six["networks"], six["count"]) == (IPV6, 3)


async def test_the_whole_list_and_one_family_of_it_are_told_apart_by_their_tags(
    service: Service, nayatel: Caller
) -> None:
    await published(service, *BOTH)
    paths = [f"{FEED}?format={name}{family}" for name in FORMATS for family in ("", "&family=4", "&family=6")]
    tags = [(await nayatel.get(path)).headers["etag"] for path in paths]
    assert len(set(tags)) == len(tags)
    assert not any(tag.startswith("W/") for tag in tags)

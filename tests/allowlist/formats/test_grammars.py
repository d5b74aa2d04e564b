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
A4, A6 = (each.partition("/")[0] for each in (V4, V6))
V4_SHORT, V6_SHORT = rf"{A4}(?:/\d{{1,2}})?", rf"{A6}(?:/\d{{1,3}})?"
TITLE = r"ip_registration session [0-9a-f-]{36} serial \d+ digest [0-9a-f]{64}"
HEAD = rf"{TITLE}\n"
# read by what test_cisco.py, test_mikrotik.py and test_junos.py have of those systems
READ_ELSEWHERE = {"json", "cisco", "mikrotik", "junos", "suricata_categories"}


def repeated(line: str) -> str:
    return f"(?:{line})*"


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
    pattern = rf"{item}(?:\{{\d+,(?:32|128)\}})?"
    return rf"define IP_REGISTRATION_{number} = \[\n  (?:{pattern}(?:,\n  {pattern})*)?\n\];\n"


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
    "fortinet": ("", repeated(f"{V4_SHORT}\n"), repeated(f"{V6_SHORT}\n")),
    "paloalto": ("", repeated(f"{V4}(?: # {TITLE})?\n"), repeated(f"{V6}(?: # {TITLE})?\n")),
    "crowdsec": ("value\n", repeated(f"{V4_SHORT}\n"), repeated(f"{V6_SHORT}\n")),
    "suricata": (f"# {HEAD}", repeated(f"{V4},1,127\n"), repeated(f"{V6},1,127\n")),
}


async def served(caller: Caller, name: str, family: str = "") -> str:
    answer = await caller.get(f"{FEED}?format={name}{'&family=' + family if family else ''}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == FORMATS[name].media_type
    return answer.text


def test_every_format_that_is_offered_has_a_grammar_here() -> None:
    assert {*READ_ELSEWHERE, *GRAMMARS} == set(FORMATS) == {each.value for each in FormatName}


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
            if name in {"fortinet", "crowdsec"}:
                allowed = [re.sub("/(32|128)$", "", each) for each in allowed]
                assert text.removeprefix("value\n").split() == allowed, f"{name} {family}"
            else:
                assert re.findall(rf"{V4}|(?<![\w:]){V6}", text) == allowed, f"{name} {family}"


async def test_a_family_without_networks_has_an_empty_set_in_bird(service: Service, nayatel: Caller) -> None:
    await published(service, *IPV4)
    assert "define IP_REGISTRATION_6 = [" in await served(nayatel, "bird")


async def test_a_network_in_bird_matches_every_prefix_inside_it(service: Service, nayatel: Caller) -> None:
    await published(service, *BOTH)
    assert re.findall(r"^  ([^,\s]+(?:,\d+\})?)", await served(nayatel, "bird"), re.MULTILINE) == [
        "154.192.0.5/32",
        "154.192.4.0/24{24,32}",
        "154.192.5.0/29{29,32}",
        "2400:1460::/48{48,128}",
        "2400:1461:1::/48{48,128}",
        "2400:1462::1/128",
    ]


async def test_suricata_has_a_category_for_the_number_in_its_list(service: Service, nayatel: Caller) -> None:
    await published(service, *BOTH)
    number, short, _ = (await served(nayatel, "suricata_categories")).strip().split(",")
    assert (number, short) == ("1", "ip_registration")
    assert {line.split(",")[1] for line in (await served(nayatel, "suricata")).splitlines()[1:]} == {number}


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

"""The prefix lists for Juniper Junos, read by a parser of its configuration files.

The form is that of Junos "CLI User Guide" (Loading a Configuration from a File: statements end in a semicolon or have
braces, ``replace:`` stands before a statement that is to be replaced, a line that begins with ``##`` is skipped), and
of "Routing Policies, Firewall Filters, and Traffic Policers" (prefix-list).
"""

import re

import pytest

from app.allowlist.formats import FORMATS, Selection
from tests.support.feed import snapshot_of

IPV4 = ["154.192.0.5/32", "154.192.4.0/24", "154.192.5.0/29"]
IPV6 = ["2400:1460::/48", "2400:1461:1::/48", "2400:1462::1/128"]
Tree = dict[str, "Tree | None"]


def parse(text: str) -> Tree:
    """Statements by their words, with those inside them, or None."""
    text = "\n".join(line for line in text.splitlines() if not line.startswith("##"))
    tokens = re.findall(r"[{};]|[^\s{};]+", text)
    tree, rest = _statements(tokens)
    assert rest == []
    return tree


def _statements(tokens: list[str]) -> tuple[Tree, list[str]]:
    tree: Tree = {}
    while tokens and tokens[0] != "}":
        end = next(index for index, token in enumerate(tokens) if token in "{};")
        words, mark, tokens = " ".join(tokens[:end]), tokens[end], tokens[end + 1 :]
        assert words not in tree
        assert mark in "{;"
        tree[words] = None
        if mark == "{":
            tree[words], tokens = _statements(tokens)
            assert tokens.pop(0) == "}"
    return tree, tokens


def lists(networks: list[str], selection: Selection) -> dict[str, list[str]]:
    tree = parse(FORMATS["junos"].encode(snapshot_of(networks), selection))
    assert list(tree) == ["policy-options"]
    statements = tree["policy-options"]
    assert statements
    return {name: list(inside or ()) for name, inside in statements.items()}


@pytest.mark.parametrize("networks", [IPV4 + IPV6, IPV4, IPV6], ids=["both", "no_ipv6", "no_ipv4"])
def test_each_family_is_replaced_as_a_whole_and_never_by_an_empty_list(networks: list[str]) -> None:
    four, six = ([each for each in networks if (":" in each) == is_ipv6] for is_ipv6 in (False, True))
    assert lists(networks, Selection()) == {
        "replace: prefix-list IP_REGISTRATION_4": four or ["192.0.2.0/32"],
        "replace: prefix-list IP_REGISTRATION_6": six or ["2001:db8::/128"],
    }


def test_one_family_leaves_the_other_as_it_is() -> None:
    assert list(lists(IPV4 + IPV6, Selection(4))) == ["replace: prefix-list IP_REGISTRATION_4"]

"""The script for MikroTik RouterOS makes the differences to the address list that is there, and no others."""

from datetime import timedelta

import pytest

from app.allowlist.formats import FORMATS, Selection
from tests.support.feed import snapshot_of
from tests.support.routeros import Router, ScriptError

OLD = ["154.192.0.5/32", "154.192.4.0/24", "154.192.5.0/29", "2400:1460::/48", "2400:1462::1/128"]
NEW = ["154.192.0.5/32", "154.192.4.0/25", "154.192.6.0/30", "2400:1460::/48", "2400:1463::/64"]
LONGEST = timedelta(weeks=35)


def script(networks: list[str], family: int | None = None) -> str:
    return FORMATS["mikrotik"].encode(snapshot_of(networks), Selection(family))


def imported(networks: list[str], router: Router | None = None) -> Router:
    router = router or Router()
    list(router.run(script(networks)))
    return router


def shown(networks: list[str], menu: str) -> set[str]:
    """Networks as RouterOS shows them: a single IPv4 address without its length."""
    return {each.removesuffix("/32") for each in networks if (":" in each) == (menu == "/ipv6")}


@pytest.mark.parametrize("networks", [OLD, OLD[:3], OLD[3:]], ids=["both", "no_ipv6", "no_ipv4"])
def test_an_import_makes_the_list_in_memory_without_flash(networks: list[str]) -> None:
    router = imported(networks)
    for menu, entries in router.lists.items():
        assert router.addresses(menu) == shown(networks, menu)
        assert {entry.timeout for entry in entries.values()} <= {LONGEST}


def test_a_second_import_of_the_same_list_changes_nothing() -> None:
    router = imported(OLD)
    router.changes.clear()
    imported(OLD, router)
    assert router.changes == []


def test_only_the_differences_are_made_and_what_is_missing_is_added_before_anything_is_removed() -> None:
    router = imported(OLD)
    router.changes.clear()
    imported(NEW, router)
    assert router.changes == [
        "add 154.192.4.0/25",
        "add 154.192.6.0/30",
        "remove 154.192.4.0/24",
        "remove 154.192.5.0/29",
        "add 2400:1463::/64",
        "remove 2400:1462::1/128",
    ]
    assert router.addresses("/ip") == shown(NEW, "/ip")


def test_no_network_of_both_lists_is_missing_at_any_time() -> None:
    router = imported(OLD)
    kept = {menu: shown(OLD, menu) & shown(NEW, menu) for menu in router.lists}
    for change in router.run(script(NEW)):
        assert all(kept[menu] <= router.addresses(menu) for menu in kept), change


def test_an_entry_that_will_end_gets_its_time_again_and_a_permanent_one_stays_permanent() -> None:
    router = imported(OLD)
    for entry in router.lists["/ip"].values():
        entry.timeout = timedelta(weeks=29)
    router.lists["/ipv6"].clear()
    router.insert("/ipv6", "2400:1460::/48")
    router.changes.clear()
    imported(OLD[:4], router)
    assert router.changes == [f"set {each}" for each in ("154.192.0.5", "154.192.4.0/24", "154.192.5.0/29")]
    assert {entry.timeout for entry in router.lists["/ip"].values()} == {LONGEST}
    assert [entry.timeout for entry in router.lists["/ipv6"].values()] == [None]


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_file_that_lost_lines_changes_nothing(lost: int) -> None:
    router = imported(OLD)
    before = router.addresses("/ip")
    lines = script(NEW, 4).splitlines(keepends=True)
    with pytest.raises(ScriptError, match="incomplete"):
        list(router.run("".join(lines[:2] + lines[2 + lost :])))
    assert router.addresses("/ip") == before


def test_a_file_that_was_cut_off_before_its_last_command_changes_nothing() -> None:
    router = imported(OLD)
    before = router.addresses("/ip")
    text = script(NEW, 4)
    list(router.run(text[: text.index("\n{") + 1]))
    assert router.addresses("/ip") == before


def test_the_list_of_one_family_leaves_the_other_as_it_is() -> None:
    router = imported(OLD)
    list(router.run(script(NEW, 4)))
    assert (router.addresses("/ip"), router.addresses("/ipv6")) == (shown(NEW, "/ip"), shown(OLD, "/ipv6"))


def test_the_variable_is_empty_afterwards() -> None:
    assert not imported(OLD).variables["ipRegistration"]

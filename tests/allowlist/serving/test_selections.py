"""Family, aggregation and parts of the list over HTTP: what is refused, what is cached, and what it costs."""

import pytest

from app.allowlist.formats import FORMATS
from app.allowlist.serving import history
from tests.support.cases import codes
from tests.support.feed import FEED, addresses, published
from tests.support.service import Caller, Service

NETWORKS = [*addresses(250), "2400:1460::/48"]


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("format=json&max=100&aggregate=true", {"/query/max", "/query/aggregate"}),
        ("format=nftables&max=100", {"/query/max"}),
        ("format=cisco&max=100&part=2", {"/query/max", "/query/part"}),
        ("format=suricata_categories&aggregate=true", {"/query/aggregate"}),
        ("format=text&part=2", {"/query/part"}),
        ("format=text&max=99", {"/query/max"}),
        ("format=text&max=4194305", {"/query/max"}),
        ("format=text&max=100&part=0", {"/query/part"}),
        ("format=text&max=100&part=50001", {"/query/part"}),
        ("format=text&max=many&part=x&aggregate=perhaps", {"/query/max", "/query/part", "/query/aggregate"}),
    ],
)
async def test_a_parameter_that_a_format_does_not_take_or_a_value_out_of_bounds_is_refused_by_its_name(
    service: Service, nayatel: Caller, query: str, pointers: set[str]
) -> None:
    await published(service, *NETWORKS)
    for path in (FEED, f"{FEED}/snapshots/1"):
        answer = await nayatel.get(f"{path}?{query}")
        assert answer.status_code == 422
        assert set(codes(answer)) == pointers


async def test_json_by_accept_takes_no_parts_either(service: Service, nayatel: Caller) -> None:
    await published(service, *NETWORKS)
    answer = await nayatel.get(f"{FEED}?max=100")
    assert (answer.status_code, list(codes(answer))) == (422, ["/query/max"])
    assert (await nayatel.get(f"{FEED}?max=100", headers={"Accept": "text/plain"})).status_code == 200


async def test_following_the_links_gives_every_network_once(service: Service, nayatel: Caller) -> None:
    await published(service, *NETWORKS)
    query, found, parts = "?format=fortinet&max=100", list[str](), 0
    while query:
        answer = await nayatel.get(f"{FEED}{query}")
        assert len(answer.text.splitlines()) <= 100
        found += answer.text.splitlines()
        parts += 1
        assert answer.headers["Allowlist-Selection"].startswith(f"part={parts}, parts=")
        query = answer.links.get("next", {}).get("url", "")
    assert sorted(found) == sorted(each.removesuffix("/32") for each in NETWORKS)
    assert answer.headers["Allowlist-Selection"] == f"part={parts}, parts={parts}"


@pytest.mark.parametrize("name", sorted(name for name, each in FORMATS.items() if "max" in each.parameters))
async def test_each_selection_has_a_tag_of_its_own_and_is_not_sent_again(
    service: Service, nayatel: Caller, name: str
) -> None:
    await published(service, *NETWORKS)
    queries = ["", "&family=4", "&aggregate=true", "&max=100", "&max=100&part=2", "&max=101", "&aggregate=true&max=100"]
    tags = []
    for query in queries:
        answer = await nayatel.get(f"{FEED}?format={name}{query}")
        tags.append(answer.headers["ETag"])
        again = await nayatel.get(f"{FEED}?format={name}{query}", headers={"If-None-Match": tags[-1]})
        assert (again.status_code, again.content) == (304, b"")
    assert len(set(tags)) == len(tags)


async def test_a_selection_of_a_snapshot_is_the_one_of_the_list_at_that_serial(
    service: Service, nayatel: Caller
) -> None:
    await published(service, *NETWORKS)
    query = "format=suricata&max=100&part=2&aggregate=true"
    serial = (await nayatel.get(FEED)).json()["serial"]
    now = await nayatel.get(f"{FEED}?{query}")
    await published(service, "154.200.0.1/32")
    then = await nayatel.get(f"{FEED}/snapshots/{serial}?{query}")
    assert (then.text, then.headers["Allowlist-Selection"]) == (now.text, now.headers["Allowlist-Selection"])


async def test_selections_do_not_push_whole_lists_out_of_memory(service: Service, nayatel: Caller) -> None:
    await published(service, *NETWORKS)
    await nayatel.get(f"{FEED}?format=text")
    reader = service.app.state.reader
    kept = list(reader.representations._caches[reader.current().version]._kept)
    for most in range(100, 140):
        await nayatel.get(f"{FEED}?format=text&max={most}")
    assert list(reader.representations._caches[reader.current().version]._kept) == kept


async def test_false_is_the_list_as_it_was_published(service: Service, nayatel: Caller) -> None:
    await published(service, *NETWORKS)
    one, other = [await nayatel.get(f"{FEED}?format=json{query}") for query in ("", "&aggregate=false")]
    assert one.headers["ETag"] == other.headers["ETag"]


async def test_many_selections_are_kept_up_to_a_size_of_which_each_takes_some(
    monkeypatch: pytest.MonkeyPatch, service: Service, nayatel: Caller
) -> None:
    await published(service, *NETWORKS)
    monkeypatch.setattr(history, "MAX_CACHE_BYTES", 50_000)
    fresh = Service(service.settings)
    await fresh.app.state.reader.refresh()
    caller = Caller(fresh, nayatel.credentials, nayatel.token)
    for part in range(1, 31):
        assert (await caller.get(f"{FEED}?format=text&max=100&part={part}")).status_code == 200
    kept = fresh.app.state.history._representations
    assert 0 < len(kept._kept) <= 50_000 // history.BYTES_PER_REPRESENTATION
    await fresh.close()

"""Formats of nftables and ipset, which replace sets of the kernel as a whole, and of the routing daemon BIRD."""

from app.allowlist.formats.listing import NAME, Listing

NETWORKS_PER_COMMAND = 2_000
# constant, since 'create -exist' refuses a set that exists with other options
MAX_ELEMENTS = 4_194_304
ADDRESS_BITS = {4: 32, 6: 128}


def write_nftables(listing: Listing) -> str:
    """Named sets in their own table, replaced in one transaction by ``nft -f``."""
    parts = [f"# {listing.title}\n", f"add table inet {NAME}\n"]
    for family in listing.families:
        name = f"allowlist{family}"
        parts.append(f"add set inet {NAME} {name} {{ type ipv{family}_addr; flags interval; }}\n")
        parts.append(f"flush set inet {NAME} {name}\n")
        networks = listing.of_family(family)
        for start in range(0, len(networks), NETWORKS_PER_COMMAND):
            listed = ", ".join(networks[start : start + NETWORKS_PER_COMMAND])
            parts.append(f"add element inet {NAME} {name} {{ {listed} }}\n")
    return "".join(parts)


def write_ipset(listing: Listing) -> str:
    """Sets for ``ipset restore``: filled under a temporary name, then swapped with the ones in use."""
    parts = [f"# {listing.title}\n"]
    for family in listing.families:
        name, fresh = f"{NAME}{family}", f"{NAME}{family}_new"
        options = f"hash:net family {'inet' if family == 4 else 'inet6'} maxelem {MAX_ELEMENTS}"
        parts += [f"create {name} {options} -exist\n", f"create {fresh} {options} -exist\n", f"flush {fresh}\n"]
        parts += [f"add {fresh} {network}\n" for network in listing.of_family(family)]
        parts += [f"swap {name} {fresh}\n", f"destroy {fresh}\n"]
    return "".join(parts)


def write_bird(listing: Listing) -> str:
    """BIRD 2 prefix sets, to ``include`` and match with ``net ~``: the networks, and every prefix inside them."""
    parts = [f"# {listing.title}\n"]
    for family in listing.families:
        listed = ",\n  ".join(
            _with_longer_prefixes(network, ADDRESS_BITS[family]) for network in listing.of_family(family)
        )
        parts.append(f"define {NAME.upper()}_{family} = [\n  {listed}\n];\n")
    return "".join(parts)


def _with_longer_prefixes(network: str, bits: int) -> str:
    length = network.partition("/")[2]
    return network if length == str(bits) else f"{network}{{{length},{bits}}}"

"""Formats of a line per network: text, CSV, and the lists that firewalls and proxies fetch or include."""

from app.allowlist.formats.listing import NAME, Listing

CATEGORY, SCORE = 1, 127  # Suricata knows scores up to 127


def write_text(listing: Listing) -> str:
    """One CIDR per line, as pfSense and OPNsense take it; the whole is the text that the digest is of."""
    return "".join(f"{network}\n" for network in listing.networks)


def write_csv(listing: Listing) -> str:
    """CSV with one column, ``network`` (RFC 4180)."""
    return "network\r\n" + "".join(f"{network}\r\n" for network in listing.networks)


def write_haproxy(listing: Listing) -> str:
    """ACL or map file for ``acl registered src -f FILE``."""
    return f"# {listing.title}\n{write_text(listing)}"


def write_squid(listing: Listing) -> str:
    """ACL file for ``acl registered src "FILE"``."""
    return f"# {listing.title}\n{write_text(listing)}"


def write_nginx(listing: Listing) -> str:
    """Lines to ``include`` in a ``geo`` block, with value 1 for a registered address."""
    return f"# {listing.title}\n" + "".join(f"{network} 1;\n" for network in listing.networks)


def write_fortinet(listing: Listing) -> str:
    """External feed of FortiOS: an address or a subnet per line, without comments, which FortiOS counts as errors."""
    return "".join(f"{shortened(network)}\n" for network in listing.networks)


def write_paloalto(listing: Listing) -> str:
    """External dynamic list of PAN-OS, of addresses; a comment stands after an address, and on no line of its own."""
    comment = f" # {listing.title}"
    lines = (f"{network}{'' if number else comment}\n" for number, network in enumerate(listing.networks))
    return "".join(lines)


def write_crowdsec(listing: Listing) -> str:
    """CSV with a column ``value``, for ``cscli allowlists import``."""
    return "value\n" + "".join(f"{shortened(network)}\n" for network in listing.networks)


def write_suricata(listing: Listing) -> str:
    """IP reputation file of Suricata: network, category, score; the categories file has ``1,ip_registration,...``."""
    return f"# {listing.title}\n" + "".join(f"{network},{CATEGORY},{SCORE}\n" for network in listing.networks)


def write_suricata_categories(_: Listing) -> str:
    """Categories file of Suricata, to the reputation file."""
    return f"{CATEGORY},{NAME},Address in the IP registration register\n"


def shortened(network: str) -> str:
    """A network as CIDR, or the address alone when it is a single one."""
    return network.removesuffix("/128" if ":" in network else "/32")

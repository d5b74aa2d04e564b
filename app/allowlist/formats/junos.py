"""Format of Juniper Junos."""

from app.allowlist.formats.listing import NAME, Listing

# for a family without networks, since an empty list does not mean nobody in every use of it (RFC 5737, RFC 3849)
NOBODY = {4: "192.0.2.0/32", 6: "2001:db8::/128"}


def write_junos(listing: Listing) -> str:
    """Prefix lists for ``load replace``, which a commit puts in force at once."""
    parts = [f"## {listing.title}\npolicy-options {{\n"]
    for family in listing.families:
        networks = listing.of_family(family) or [NOBODY[family]]
        parts.append(f"    replace: prefix-list {NAME.upper()}_{family} {{\n")
        parts += [f"        {network};\n" for network in networks]
        parts.append("    }\n")
    return "".join([*parts, "}\n"])

"""Format of MikroTik RouterOS: a script for ``/import`` that makes only the differences to the address list there."""

from collections.abc import Sequence

from app.allowlist.formats.lines import shortened
from app.allowlist.formats.listing import NAME, Listing

VARIABLE = "ipRegistration"
# an entry with a timeout is dynamic, and so is not written to flash; 35 weeks is the longest that RouterOS takes
TIMEOUT = "35w"
# one that will end within these is given TIMEOUT again
RENEWED_BELOW = "30w"
MENUS = {4: "/ip firewall address-list", 6: "/ipv6 firewall address-list"}
# Nothing is changed by a file that was cut off: the differences are made by its last command.
DIFFERENCES = """{{
  :global {variable}
  :if ([:len ${variable}] != {count}) do={{ :error "{name}: the file is incomplete, and nothing was changed" }}
  :local gone ({{}})
  :foreach entry in=[{menu} find where list="{name}"] do={{
    :local address [:tostr [{menu} get $entry address]]
    :if ([:typeof (${variable}->$address)] = "bool") do={{
      :set (${variable}->$address) false
      :if ([{menu} get $entry dynamic]) do={{
        :if ([{menu} get $entry timeout] < {renewed_below}) do={{ {menu} set $entry timeout={timeout} }}
      }}
    }} else={{
      :set gone ($gone, $entry)
    }}
  }}
  :foreach address,missing in=${variable} do={{
    :if ($missing) do={{ {menu} add list="{name}" address=$address timeout={timeout} }}
  }}
  :foreach entry in=$gone do={{ {menu} remove $entry }}
  :set {variable}
}}
"""


def write_mikrotik(listing: Listing) -> str:
    """RouterOS commands for ``/import``: add to the address list what is missing, then remove what is gone.

    Entries have a timeout, so that they are kept in memory and not written to flash.
    """
    families = (_write_family(family, listing.of_family(family)) for family in listing.families)
    return f"# {listing.title}\n" + "".join(families)


def _write_family(family: int, networks: Sequence[str]) -> str:
    # RouterOS shows a single IPv4 address without its length, and a single IPv6 address with it
    addresses = [shortened(network) for network in networks] if family == 4 else networks
    wanted = "".join(f':set (${VARIABLE}->"{address}") true\n' for address in addresses)
    differences = DIFFERENCES.format(
        variable=VARIABLE,
        count=len(networks),
        name=NAME,
        menu=MENUS[family],
        renewed_below=RENEWED_BELOW,
        timeout=TIMEOUT,
    )
    return f":global {VARIABLE} ({{}})\n{wanted}{differences}"

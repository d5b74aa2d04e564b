"""Networks as people write them: their normal form, and the text to write where a writing has no single meaning.

Neither ever changes an address. ``networks`` decides what is a network.
"""

import re
from collections.abc import Iterable
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    summarize_address_range,
)

from app.core.validation import texts

Address = IPv4Address | IPv6Address
Block = IPv4Network | IPv6Network

# Single networks, and several with one blank between. Each token ends as an address does, so that none ends in a dot.
_ONE = r"[0-9A-Fa-f:.]*[0-9A-Fa-f:](?:/[0-9]{1,3})?"
_PLAIN = re.compile(rf"{_ONE}(?: {_ONE})*")
_QUAD = r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}"
# A mask before or after inversion; no such address is routable.
_MASK = r"(?:255(?:\.[0-9]{1,3}){3}|0(?:\.[0-9]{1,3}){3})"
_ADDRESS = rf"(?:{_QUAD}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)"
_END = r"(?![0-9A-Za-z.:/])"
_LENGTH_APART = re.compile(rf"(?<![^ ,;\n])({_ADDRESS})\.?[ \n]*/ *([0-9]{{1,3}}|{_MASK}){_END}")
_MASK_APART = re.compile(rf"(?<![^ ,;\n])({_QUAD})\.?[ ,;\n]+({_MASK}){_END}")
_RANGE_APART = re.compile(
    rf"(?<![^ ,;\n])({_ADDRESS})\.?((?: *- *| +to +)(?:{_ADDRESS}|[0-9]{{1,3}})\.?)(?=[ ,;\n]|\Z)", re.IGNORECASE
)
_BETWEEN = re.compile(r"[ ,;\n]+")
_MASKED = re.compile(rf"({_QUAD})/({_MASK})")
_WITH_LENGTH = re.compile(rf"{_ADDRESS}(?:/[0-9]{{1,3}})?")
_RANGE = re.compile(rf"({_ADDRESS})-({_ADDRESS}|[0-9]{{1,3}})")
_WITH_PORT = re.compile(rf"({_QUAD}):[0-9]{{1,5}}|\[({_ADDRESS})\](?::[0-9]{{1,5}})?")
_URL = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*://(?:({_QUAD})|\[({_ADDRESS})\])(?::[0-9]{{1,5}})?(?:[/?#][!-~]*)?")
_LEADING_ZEROS = re.compile(r"((?:[0-9]{1,4}\.){3}[0-9]{1,4})(?:/([0-9]{1,4}))?")
_NO_LENGTH = re.compile(rf"({_ADDRESS})/+")
_WILDCARD = re.compile(r"((?:[0-9]{1,3}\.){3})(?:\*|[xX]{1,3})")
MAX_LENGTH = 20_000
MAX_NAMED = 8


def normal_networks(cell: str) -> str:
    """Return the networks of a cell with one blank between, each once; what has no single meaning stays as it is."""
    if _is_plain(cell) or len(cell) > MAX_LENGTH:
        return cell
    normal = _normalize(cell)
    # Line breaks that became blanks may not make one network of two lines.
    return normal if _is_plain(normal) or _normalize(normal) == normal else cell


def _is_plain(cell: str) -> bool:
    return _PLAIN.fullmatch(cell) is not None and (" " not in cell or _has_neither_twice_nor_mask(cell))


def _normalize(cell: str) -> str:
    text = texts.unwrap(texts.in_ascii(cell))
    text = _LENGTH_APART.sub(r"\1/\2", text)
    text = _MASK_APART.sub(r"\1/\2", text)
    text = _RANGE_APART.sub(_join_range, text)
    tokens = filter(None, (texts.unwrap(each) for each in _BETWEEN.split(text)))
    return " ".join(_each_once(map(_normal_token, tokens))) or cell


def advice(text: str) -> str | None:
    """Say what to write in place of a text that is no network; None when that is not clear.

    Only texts of addresses are repeated: others, of a wrong column, may be personal data.
    """
    if len(text) > MAX_LENGTH:
        return None
    normal = normal_networks(text)
    if normal != text and all(map(_is_network, normal.split(" "))):
        return _write(normal.split(" "))
    if hidden := _hidden(text):
        return hidden
    plain = texts.trim(texts.in_ascii(text))
    advisers = (
        _advice_on_range, _advice_on_port, _advice_on_url, _advice_on_zeros, _advice_on_length, _advice_on_mask,
        _advice_on_wildcard, _advice_on_list,
    )  # fmt: skip
    return next(filter(None, (adviser(plain) for adviser in advisers)), None)


def _has_neither_twice_nor_mask(cell: str) -> bool:
    if " 255." in cell or " 0." in cell:
        return False
    tokens = cell.split(" ")
    keys = map(_key, tokens) if ":" in cell or "/32" in cell else tokens
    return len(set(keys)) == len(tokens)


def _join_range(found: re.Match[str]) -> str:
    last = re.sub(r"\A(?: *- *| +to +)", "", found[2], flags=re.IGNORECASE)
    return f"{found[1]}-{last.removesuffix('.')}"


def _normal_token(token: str) -> str:
    """Return a token in CIDR notation, or as it is."""
    if found := _MASKED.fullmatch(token):
        length = _mask_length(found[2])
        return f"{found[1]}/{length}" if length else token
    if found := _RANGE.fullmatch(token):
        blocks = _blocks(found[1], found[2])
        return _shortly(blocks[0]) if len(blocks) == 1 else token
    bare = token.removesuffix(".")
    return bare if bare != token and _WITH_LENGTH.fullmatch(bare) else token


def _each_once(tokens: Iterable[str]) -> Iterable[str]:
    """Yield tokens without those of the same network as an earlier one."""
    seen = set[str | Block]()
    for token in tokens:
        key = _key(token)
        if key not in seen:
            seen.add(key)
            yield token


def _key(token: str) -> str | Block:
    if ":" in token:
        return _network(token) or token
    return token.removesuffix("/32")


def _network(token: str) -> Block | None:
    """Return the network of a token in standard notation, None for another text or with host bits."""
    if "/" in token and not token.rpartition("/")[2].isdecimal():
        return None
    try:
        return IPv6Network(token) if ":" in token else IPv4Network(token)
    except ValueError:
        return None


def _is_network(token: str) -> bool:
    return token.isascii() and _network(token) is not None


def _address(text: str) -> Address | None:
    try:
        return IPv6Address(text) if ":" in text else IPv4Address(text)
    except AddressValueError:
        return None


def _mask_length(mask: str) -> int | None:
    """Return the prefix length of a dotted mask of ones and then zeros; None for any other."""
    address = _address(mask)
    if address is None:
        return None
    inverted = (1 << 32) - 1 - int(address)
    return 32 - inverted.bit_length() if inverted & (inverted + 1) == 0 else None


def _blocks(first: str, last: str) -> list[Block]:
    """Return the fewest blocks of a range; ``last`` may be only the last number of an IPv4 address."""
    if last.isdecimal():
        if ":" in first:
            return []
        last = f"{first.rpartition('.')[0]}.{last}"
    one, other = _address(first), _address(last)
    if one is None or other is None or one.version != other.version or int(other) < int(one):
        return []
    return [*summarize_address_range(one, other)]


def _shortly(block: Block) -> str:
    return str(block.network_address) if block.prefixlen == block.max_prefixlen else str(block)


def _write(networks: list[str]) -> str:
    """Return the advice to write some networks."""
    if len(networks) == 1:
        return f"Write {networks[0]}."
    more = f" and {len(networks) - MAX_NAMED} more" if len(networks) > MAX_NAMED else ""
    return f"Write each network by itself: {' '.join(networks[:MAX_NAMED])}{more}."


def _hidden(text: str) -> str | None:
    found = texts.hidden_character(text)
    bare = normal_networks(texts.visible(text))
    if not found:
        return None
    return f"Take out {found}, and write {bare}." if all(map(_is_network, bare.split(" "))) else f"Take out {found}."


def _advice_on_range(text: str) -> str | None:
    if not (found := _RANGE.fullmatch(text)):
        return None
    blocks = _blocks(found[1], found[2])
    if not blocks:
        return f"{text} is no range: write its first address, a dash and its last address."
    named = " ".join(map(_shortly, blocks[:MAX_NAMED]))
    more = f" and {len(blocks) - MAX_NAMED} more" if len(blocks) > MAX_NAMED else ""
    return f"{text} is not one block but {len(blocks)}: write {named}{more}."


def _advice_on_port(text: str) -> str | None:
    found = _WITH_PORT.fullmatch(text)
    address = found and (found[1] or found[2])
    return f"A network has no port and no brackets: write {address}." if address and _address(address) else None


def _advice_on_url(text: str) -> str | None:
    found = _URL.fullmatch(text)
    address = found and (found[1] or found[2])
    return f"Write the address and not a URL: {address}." if address and _address(address) else None


def _advice_on_zeros(text: str) -> str | None:
    if not (found := _LEADING_ZEROS.fullmatch(text)):
        return None
    bare = ".".join(str(int(number)) for number in found[1].split("."))
    bare += f"/{int(found[2])}" if found[2] else ""
    if bare == text or _address(bare.partition("/")[0]) is None:
        return None
    return f"{text} has leading zeros, which some programs read as octal: write {bare}."


def _advice_on_length(text: str) -> str | None:
    found = _NO_LENGTH.fullmatch(text)
    if not found or _address(found[1]) is None:
        return None
    return (
        f"The prefix length after the slash is missing: write {found[1]} for the single address, or its length, such "
        f"as {found[1]}/{48 if ':' in text else 29}."
    )


def _advice_on_mask(text: str) -> str | None:
    found = _MASKED.fullmatch(text)
    address, mask = (_address(found[1]), _address(found[2])) if found else (None, None)
    if not found or address is None:
        return None
    if length := _mask_length(found[2]):
        block = IPv4Network((int(address), length), strict=False)
        return f"Write {address} for the single address, or {block} for its block."
    length = _mask_length(str(IPv4Address((1 << 32) - 1 - int(mask)))) if mask else None
    if length is None:
        return f"{found[2]} is no subnet mask: write the address and a prefix length, such as {found[1]}/29."
    return f"{found[2]} is a wildcard mask: write {found[1]}/{length}."


def _advice_on_wildcard(text: str) -> str | None:
    found = _WILDCARD.fullmatch(text)
    return f"Write {found[1]}0/24." if found and _address(f"{found[1]}0") else None


def _advice_on_list(text: str) -> str | None:
    parts = re.split(r"[/|&+]|\band\b", text)
    addresses = [each.strip() for each in parts]
    return _write(addresses) if len(addresses) > 1 and all(map(_is_network, addresses)) else None

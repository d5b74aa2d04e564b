"""Where a network lies: in the country's allocations, and in what an operator announces. Pure functions of values."""

from collections import defaultdict
from collections.abc import Iterable

from app.core.validation.networks import Disjoint, Network


class PrefixTable:
    """The operators, the country's allocations and each operator's prefixes, in memory, to look many networks up in.

    ``rows`` are pairs: an operator's code and a prefix that it announces; a code alone; an allocated prefix alone.
    """

    def __init__(self, rows: Iterable[tuple[str | None, str | None]]) -> None:
        prefixes = defaultdict[str | None, list[str]](list)
        for operator, prefix in rows:
            prefixes[operator] += [prefix] if prefix is not None else []
        self._country = Disjoint.outermost(prefixes.pop(None, ()))
        self._announced = {operator: Disjoint.outermost(listed) for operator, listed in prefixes.items()}

    def knows(self, operator: str) -> bool:
        """Whether there is an operator of this code."""
        return operator in self._announced

    def is_in_country(self, network: Network) -> bool:
        """Whether an allocation holds the network whole."""
        return self._country.holds(network)

    def is_announced_by(self, operator: str, network: Network) -> bool:
        """Whether a prefix of the operator holds the network whole."""
        held = self._announced.get(operator)
        return held is not None and held.holds(network)

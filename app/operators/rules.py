"""Lookups of networks in the country's allocations and in operators' prefixes. Pure functions of values."""

from collections import defaultdict
from collections.abc import Iterable

from app.core.validation.networks import DisjointNetworks, Network


class PrefixTable:
    """The operators, their prefixes and the country's allocations, for lookups in memory.

    ``rows`` are pairs of an operator's code and a prefix that it announces. A code without a prefix is an operator; a
    prefix without a code is an allocation. ``operators`` are the codes of all operators.
    """

    def __init__(self, rows: Iterable[tuple[str | None, str | None]]) -> None:
        prefixes = defaultdict[str | None, list[str]](list)
        for operator, prefix in rows:
            prefixes[operator] += [prefix] if prefix is not None else []
        self._country = DisjointNetworks.outermost(prefixes.pop(None, ()))
        self.operators = frozenset(operator for operator in prefixes if operator is not None)
        self._announced = {operator: DisjointNetworks.outermost(announced) for operator, announced in prefixes.items()}

    def knows(self, operator: str) -> bool:
        """True when there is an operator with this code."""
        return operator in self._announced

    def is_in_country(self, network: Network) -> bool:
        """True when one allocation contains the whole network."""
        return self._country.contains(network)

    def is_announced_by(self, operator: str, network: Network) -> bool:
        """True when one prefix of the operator contains the whole network."""
        announced = self._announced.get(operator)
        return announced is not None and announced.contains(network)

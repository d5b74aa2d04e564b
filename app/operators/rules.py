"""Where a network lies: in the country's allocations, and in what an operator announces. Pure functions of values."""

from collections import defaultdict
from collections.abc import Iterable

from app.core.networks import Disjoint, Network


class Atlas:
    """The country's allocations and each operator's prefixes, in memory, to look many networks up in."""

    def __init__(self, country: Iterable[str], announced: Iterable[tuple[str, str]]) -> None:
        prefixes = defaultdict[str, list[str]](list)
        for operator, prefix in announced:
            prefixes[operator].append(prefix)
        self._country = Disjoint.outermost(country)
        self._announced = {operator: Disjoint.outermost(listed) for operator, listed in prefixes.items()}

    def is_in_country(self, network: Network) -> bool:
        """Whether an allocation holds the network whole."""
        return self._country.holds(network)

    def is_announced_by(self, operator: str, network: Network) -> bool:
        """Whether a prefix of the operator holds the network whole."""
        held = self._announced.get(operator)
        return held is not None and held.holds(network)

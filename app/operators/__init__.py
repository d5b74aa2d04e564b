"""Internet operators, the prefixes that they announce, and the country's address allocations."""

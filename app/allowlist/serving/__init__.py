"""Serving the allowlist: the list in memory, its encoded representations, its manifest and its history."""

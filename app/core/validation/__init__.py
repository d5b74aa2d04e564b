"""Validation of input: base models, networks, and preconditions."""

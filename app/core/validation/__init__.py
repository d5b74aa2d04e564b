"""Validation of what callers send: field types, networks and preconditions."""

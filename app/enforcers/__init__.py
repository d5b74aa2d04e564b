"""Enforcers: what operators' firewalls have loaded of the allowlist, and how far behind they are."""

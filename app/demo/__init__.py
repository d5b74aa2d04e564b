"""Demonstration: an embedded PostgreSQL, demo partners and a sample register."""

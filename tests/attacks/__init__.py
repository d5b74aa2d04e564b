"""Attacks on the served process, and what it still answers meanwhile."""

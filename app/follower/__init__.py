"""Follower: the reference client of the feed, which keeps a local file up to date with the allowlist."""

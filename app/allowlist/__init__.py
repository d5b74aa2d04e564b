"""The allowlist: entries in force, their publication as snapshots and deltas, and the bounds on mass changes."""

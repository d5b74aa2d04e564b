"""The append-only event log: what happened to resources, in the order of commits."""

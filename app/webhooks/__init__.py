"""Webhooks: signed deliveries of events to URLs that partners name."""

"""Webhooks: signed deliveries of events to partners' endpoints (Standard Webhooks)."""

"""Limits: rate limits that processes share through the database, and reads that callers share."""

"""Limits: rate limits shared by processes, slots for costly work, and results that callers share."""

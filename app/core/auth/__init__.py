"""Authentication by bearer tokens (RFC 6750), and the log of attempts to authenticate."""

"""Authentication: bearer tokens (RFC 6750), admission of a request, and the log of attempts."""

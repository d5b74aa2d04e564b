"""Code that all domains share and that knows no domain: HTTP, authentication, limits, database, validation."""

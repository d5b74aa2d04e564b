"""The ground that every domain builds on: HTTP, authentication, limits, the database, and validation.

Nothing here knows a domain.
"""

"""The database: one engine a process, one transaction handle, and what statements are built from.

Stores of the domains build their SQL with it.
"""

"""The database: the engine, the transaction handle, and the parts that statements are built from.

Stores of the domains build their SQL with it.
"""

"""Operators of the country and the address space that each announces."""

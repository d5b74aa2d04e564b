"""Certificates of registrations: signed, printable, and verified by anybody without an account."""

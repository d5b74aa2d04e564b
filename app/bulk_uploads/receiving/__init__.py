"""Receiving a file: its digest (RFC 9530), its content encoding, and its compression at rest."""

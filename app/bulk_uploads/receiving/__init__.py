"""Receiving a file: its digest (RFC 9530), its content encoding (RFC 9110), and compression of its stored parts."""

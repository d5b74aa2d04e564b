"""Readers of CSV, NDJSON and XLSX files: each yields rows of cells with their place in the file."""

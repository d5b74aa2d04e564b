"""Readers of the file formats: CSV, NDJSON and XLSX, each giving rows of named cells."""

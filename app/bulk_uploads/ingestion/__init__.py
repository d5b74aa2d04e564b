"""Ingestion: the worker reads stored files, validates and registers their rows, and stores the outcomes."""

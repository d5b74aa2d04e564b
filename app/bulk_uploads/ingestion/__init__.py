"""Ingestion: the worker's part of an upload, from the stored file to registered rows and outcomes."""

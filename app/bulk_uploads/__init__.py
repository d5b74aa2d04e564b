"""Bulk uploads: files of registrations that the API receives and the worker ingests row by row."""

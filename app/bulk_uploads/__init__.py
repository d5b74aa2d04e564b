"""Bulk uploads: files of registrations, received, read row by row, and registered by the worker."""

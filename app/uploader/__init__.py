"""Uploader: the command ``app.cli upload``, which sends a file of registrations and follows its processing."""

"""Serving the feed: the reader of the published list, its representations, its manifest and its history."""

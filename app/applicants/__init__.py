"""Applicants: the companies and persons for whom partners register addresses."""

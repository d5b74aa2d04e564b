"""Applicants: the companies and individuals for whom partners register networks."""

"""Erasure of an applicant's personal data from all tables."""

"""Erasure of an applicant's personal data, wherever it stands."""

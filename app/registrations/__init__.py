"""Registrations: cases of applicants and their networks, from submission to expiry."""

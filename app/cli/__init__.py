"""``python -m app.cli`` runs ``__main__``, which a process that is spawned beside it does not load again."""

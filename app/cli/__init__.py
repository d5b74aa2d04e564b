"""Command line of the service: ``python -m app.cli``, for operators, CI and the demonstration."""

"""Processes: periodic loops, subprocesses, structured logs, and files replaced atomically."""

"""The IP registration service."""

__version__ = "0.2.0"

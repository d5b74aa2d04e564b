"""Property tests take their time: on a busy machine one example may be slow."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

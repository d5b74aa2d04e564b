"""Standing: a case is in force, pending or not in force at a moment, also told to who has its receipt."""

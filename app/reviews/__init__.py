"""Reviews: officers claim cases and decide them, one by one and in batches."""

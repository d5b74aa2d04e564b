"""Reviews: decisions of officers on cases, one by one and in batches."""

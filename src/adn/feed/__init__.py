"""From cases, on disk or virtual, to batches."""

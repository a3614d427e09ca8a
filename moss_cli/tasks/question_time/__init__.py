"""The times that questions name."""

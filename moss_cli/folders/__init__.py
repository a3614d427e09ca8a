"""Output folders: what is done in them, by whom, and what is left to do."""

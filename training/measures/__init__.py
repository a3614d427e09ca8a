"""The figures of each task, from labels and what the real command answered."""

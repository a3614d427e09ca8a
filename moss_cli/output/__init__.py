"""From results to text, and from text to files: formats, names, and writing whole or not at all."""

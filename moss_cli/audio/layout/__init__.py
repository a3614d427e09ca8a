"""What a file's structure says of its audio, read without decoding: one module per family of formats."""

"""Audio files in, 16 kHz mono samples out: decoding, mel spectrograms, chunks, speech detection."""

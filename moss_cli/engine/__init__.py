"""Mel and token ids in, token ids out: the MOSS-Audio model and how it is loaded and decoded."""

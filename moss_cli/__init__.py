"""Audio analysis on the command line with the MOSS-Audio models."""

__version__ = "0.1.0"

"""What docs/make_reference.py makes its pages from."""

"""Measures the product as a user would run it, beside its peers, on this machine: `make bench`."""

"""Faults, mutations, rate limits and tokens."""

"""The simulated records, generated on demand from a seed."""

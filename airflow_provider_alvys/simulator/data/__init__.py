"""The simulated records, made on demand from a seed."""

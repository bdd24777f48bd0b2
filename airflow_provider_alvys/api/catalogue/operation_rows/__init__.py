"""The operations, as data, by area."""

"""The streams, as data, by area."""

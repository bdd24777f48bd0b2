"""The rows of the catalogue of streams, by subject."""

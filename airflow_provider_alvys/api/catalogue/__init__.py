"""The rows of the catalogue of what can be read, by subject."""

"""The catalogue of streams, operations, endpoints and limits, as data."""

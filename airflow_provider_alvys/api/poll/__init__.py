"""Batched polling for sensors, and the change feed for watchers."""

"""Writes: check, body, send and upload."""

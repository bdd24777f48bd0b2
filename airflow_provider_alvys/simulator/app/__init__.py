"""The server: searches, lookups, writes and control endpoints."""

"""The server: reads, writes and control endpoints."""

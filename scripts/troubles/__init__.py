"""The troubles of docs/troubleshooting.md: one function each, which provokes it."""

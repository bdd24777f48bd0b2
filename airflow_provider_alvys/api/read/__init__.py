"""Reading of streams: queries, windows, the paginator and its state, lookups."""

"""Requests to Alvys: client, transport, tokens, pacing and retries."""

"""Requests and responses in Alvys's form."""

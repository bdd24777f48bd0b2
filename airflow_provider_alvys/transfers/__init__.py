"""Operators that move Alvys's rows elsewhere."""

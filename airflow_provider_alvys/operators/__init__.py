"""Operators that call Alvys."""

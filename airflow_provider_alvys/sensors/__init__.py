"""Sensors that wait for something to happen in Alvys."""

"""Reconciliation: files and tables compared with Alvys and with each other."""

"""Formats of part files: JSON lines and Parquet, writer and reader."""

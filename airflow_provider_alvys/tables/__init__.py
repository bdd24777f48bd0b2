"""Landed rows into the typed tables of a database, and the types of Parquet. Knows no Airflow."""

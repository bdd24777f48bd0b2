"""The Alvys public API as a plain Python client. Nothing here knows Airflow."""

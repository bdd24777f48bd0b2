"""From an Airflow connection to an Alvys client."""

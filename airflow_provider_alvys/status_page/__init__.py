"""A page in Airflow's UI: how fresh and complete the data is."""

"""The commands of ``airflow alvys`` and ``python -m airflow_provider_alvys``."""

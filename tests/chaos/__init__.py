"""Airflow with real daemons, faults and kills, and the check that nothing is lost."""

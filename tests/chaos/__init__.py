"""
Chaos tests: a real Airflow with daemons, under faults and kills, synced from the simulator.

Each module of this folder is an entry point with a make target. ``airflow/`` starts the daemons, ``rounds/``
and ``triggerer/`` hold the scenarios, ``checks/`` compares the results with the simulator's data, ``dags/``
has the DAGs.
"""

"""
A local Alvys, for trying, demos and tests.

``python -m airflow_provider_alvys.simulator`` starts it, and so does :class:`airflow_provider_alvys.simulator.process.Simulator`.
It shares the catalogues (streams, limits) with the client, never its code.
"""

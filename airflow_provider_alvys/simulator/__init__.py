"""
A local Alvys for demos and tests.

``python -m airflow_provider_alvys.simulator`` starts it, and so does
:class:`airflow_provider_alvys.simulator.process.Simulator`. It shares the client's catalogue, never its code.
"""

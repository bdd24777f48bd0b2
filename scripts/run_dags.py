"""
Run DAGs one after the other, as ``airflow dags test`` does, in one process.

    python -m scripts.run_dags alvys_to_lake_hourly alvys_to_lake_daily
"""

from __future__ import annotations

import sys

from airflow.cli.cli_parser import get_parser

if __name__ == "__main__":
    for dag_id in sys.argv[1:]:
        arguments = get_parser().parse_args(["dags", "test", dag_id])
        arguments.func(arguments)

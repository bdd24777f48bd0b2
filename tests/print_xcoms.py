"""Print the XComs of a DAG from Airflow's model: the tables behind it differ between Airflow versions."""

from __future__ import annotations

import json
import sys
from typing import Any

from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select


def decode(value: Any) -> Any:
    """Decode a value, which Airflow 3.1 stores as JSON in JSON."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def main(dag_id: str, key: str) -> None:
    """Print the task ids and values, one JSON list a line."""
    with create_session() as session:
        query = select(XComModel).where(XComModel.dag_id == dag_id, XComModel.key == key)
        for xcom in session.scalars(query):
            sys.stdout.write(f"XCOM {json.dumps([xcom.task_id, decode(xcom.value)])}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

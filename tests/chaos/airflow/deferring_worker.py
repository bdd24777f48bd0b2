"""
A worker that takes hundreds of sensors to their deferral in one process, within seconds.

It runs the same code as Airflow's worker, without a process per task: the execution API's ``run``, the task
runner with the operator's ``execute``, then the execution API's ``state`` with the deferral. Airflow uses
this code for ``airflow dags test``.
"""

from __future__ import annotations

import argparse
from uuid import UUID

from airflow.dag_processing.dagbag import DagBag
from airflow.models.taskinstance import TaskInstance
from airflow.sdk.api.datamodels._generated import TaskInstance as SdkTaskInstance
from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor, run_task_in_process
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select

# Tasks per query: small enough for several workers to share a run.
_BATCH = 20


def main() -> None:
    """Run each scheduled task of a run and a pool until it ends or defers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dag_id")
    parser.add_argument("run_id")
    parser.add_argument("pool")
    arguments = parser.parse_args()
    dag = DagBag().dags[arguments.dag_id]
    client = InProcessTestSupervisor._api_client(dag)
    while tasks := queue_tasks(arguments.dag_id, arguments.run_id, arguments.pool):
        for task in tasks:
            run_task_in_process(task, dag.get_task(task.task_id), client)


def queue_tasks(dag_id: str, run_id: str, pool: str) -> list[SdkTaskInstance]:
    """Set some scheduled tasks to queued, as the scheduler does when a pool has slots, and return them."""
    scheduled = (
        TaskInstance.dag_id == dag_id,
        TaskInstance.run_id == run_id,
        TaskInstance.pool == pool,
        TaskInstance.state == TaskInstanceState.SCHEDULED,
    )
    query = select(TaskInstance).where(*scheduled).order_by(TaskInstance.map_index).limit(_BATCH)
    with create_session() as session:
        found = session.scalars(query.with_for_update(skip_locked=True, of=TaskInstance)).all()
        for ti in found:
            ti.state = TaskInstanceState.QUEUED
        return [
            SdkTaskInstance(
                id=UUID(str(ti.id)),
                task_id=ti.task_id,
                dag_id=ti.dag_id,
                run_id=ti.run_id,
                try_number=ti.try_number,
                map_index=ti.map_index,
                dag_version_id=UUID(str(ti.dag_version_id)),
            )
            for ti in found
        ]


if __name__ == "__main__":
    main()

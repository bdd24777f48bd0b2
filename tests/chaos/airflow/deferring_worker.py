"""
A worker for sensors that wait: it takes hundreds of them to their deferral in seconds, in one process.

What a worker of Airflow's does with a task is done here by the same code, but for the process of its own that each task has
there: the execution API's ``run``, the task runner with the operator's own ``execute``, and the execution API's ``state`` with
what the deferral says. Airflow has this for ``airflow dags test``.
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

# So many tasks at a time are taken, for several of these to work beside each other.
_BATCH = 20


def main() -> None:
    """Run each task of a run that has been scheduled in a pool, until its end or its deferral."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dag_id")
    parser.add_argument("run_id")
    parser.add_argument("pool")
    arguments = parser.parse_args()
    dag = DagBag().dags[arguments.dag_id]
    client = InProcessTestSupervisor._api_client(dag)
    while tasks := take(arguments.dag_id, arguments.run_id, arguments.pool):
        for task in tasks:
            run_task_in_process(task, dag.get_task(task.task_id), client)


def take(dag_id: str, run_id: str, pool: str) -> list[SdkTaskInstance]:
    """Queue some of what has been scheduled, as the scheduler does where the pool has slots, and return it."""
    is_mine = (
        TaskInstance.dag_id == dag_id,
        TaskInstance.run_id == run_id,
        TaskInstance.pool == pool,
        TaskInstance.state == TaskInstanceState.SCHEDULED,
    )
    mine = select(TaskInstance).where(*is_mine).order_by(TaskInstance.map_index).limit(_BATCH)
    with create_session() as session:
        found = session.scalars(mine.with_for_update(skip_locked=True, of=TaskInstance)).all()
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

"""Run a DAG as ``airflow dags test`` does, and answer its approval as Airflow's REST API does."""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from types import SimpleNamespace
from typing import Any

from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
from airflow.cli.cli_parser import get_parser
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.providers.standard.triggers import hitl
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select


class Approver:
    """A user of Airflow."""

    def get_id(self) -> str:
        return "controller"

    def get_name(self) -> str:
        return "Controller"

    get_display_name = get_name


def answer(option: str, before: str, after: str, has_ended: threading.Event) -> None:
    """
    Wait for the request, print what it shows, and answer it.

    :param before: the amount in the checked body.
    :param after: what it becomes before the answer.
    """
    while not has_ended.wait(0.2):
        columns = TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, HITLDetail.body
        query = select(*columns).join(HITLDetail, HITLDetail.ti_id == TaskInstance.id)
        query = query.where(HITLDetail.responded_at.is_(None))
        if hasattr(TaskInstanceState, "AWAITING_INPUT"):
            # The request is there a little earlier than the task waits: an answer until then wakes nothing.
            # In earlier versions of Airflow a trigger looks for the answer.
            query = query.where(TaskInstance.state == TaskInstanceState.AWAITING_INPUT)
        with create_session() as session:
            found = session.execute(query).first()
        if found is None:
            continue
        dag_id, run_id, asking, shown = found
        sys.stdout.write(f"SHOWN {json.dumps(shown)}\n")
        with create_session() as session:
            if after != before:
                # Airflow versions store the same value in different ways.
                query = select(XComModel).where(XComModel.run_id == run_id, XComModel.key == "body")
                xcom = session.scalars(query).one()
                xcom.value = json.loads(json.dumps(xcom.value).replace(before, after))
                session.flush()
            payload = UpdateHITLDetailPayload(chosen_options=[option], params_input={})
            more = {"dag_bag": None} if "dag_bag" in update_hitl_detail.__annotations__ else {}
            update_hitl_detail(dag_id, run_id, asking, payload, Approver(), session=session, **more)
        return


def answer_or_exit(*arguments: Any) -> None:
    """Answer, or end the process: the run would wait for ever."""
    try:
        answer(*arguments)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def read_answer(ti_id: Any) -> Any:
    """Return the newest request to the trigger of Airflow before 3.3, which ``dags test`` does not answer."""
    with create_session() as session:
        request = session.scalars(select(HITLDetail).order_by(HITLDetail.created_at.desc())).first()
        names = "response_received chosen_options params_input responded_at".split()
        answer = SimpleNamespace(**{name: getattr(request, name) for name in names})
        answer.responded_by_user = SimpleNamespace(**(request.responded_by or {}))
        return answer


def main(dag_id: str, conf: str, option: str, before: str, after: str) -> None:
    """Run the DAG."""
    hitl.get_hitl_detail_content_detail = read_answer
    has_ended = threading.Event()
    thread = threading.Thread(target=answer_or_exit, args=(option, before, after, has_ended))
    thread.start()
    try:
        arguments = get_parser().parse_args(["dags", "test", dag_id, "--conf", conf])
        arguments.func(arguments)
    finally:
        has_ended.set()
        thread.join()
        with create_session() as session:
            newest = select(DagRun).where(DagRun.dag_id == dag_id).order_by(DagRun.id.desc()).limit(1)
            run = session.scalars(newest).one()
            states = {task.task_id: task.state for task in run.get_task_instances(session=session)}
        sys.stdout.write(f"STATES {json.dumps(states)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

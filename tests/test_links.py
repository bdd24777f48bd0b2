from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseOperatorLink

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.web import WebRecord
from airflow_provider_alvys.base_operator import AlvysTask
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.links import AlvysRecordLink
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import CONNECTION, Airflow

PAGE = "https://alvys.example.com/{stream}/{number}"


class LookAtLoad(AlvysTask):
    """What a task about a load looks like."""

    template_fields = ("alvys_conn_id", "load_number")
    operator_extra_links = (AlvysRecordLink(),)

    def __init__(self, *, load_number: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.load_number = load_number
        self.found: dict[str, Any] = {}

    def record_of_link(self) -> WebRecord | None:
        return WebRecord("loads", self.found.get("Id"), self.load_number)

    def execute(self, context: Any) -> None:
        self.found = self.hook.get("loads", loadNumber=self.load_number)


def link(operator: Any) -> str:
    return AlvysRecordLink().get_link(operator, ti_key=None)  # type: ignore[arg-type]


@pytest.mark.every_airflow
def test_a_task_links_to_the_page_of_its_record(alvys: Simulator, connect: Callable[..., None]) -> None:
    connect(web_url=PAGE)
    load = json.loads(alvys.truth_rows()[0])
    operator = LookAtLoad(task_id="look", load_number=load["LoadNumber"])
    assert link(operator) == f"https://alvys.example.com/loads/{load['LoadNumber']}"
    connect(web_url=PAGE.replace("number", "id"))
    operator = LookAtLoad(task_id="look", load_number=load["LoadNumber"])
    assert link(operator) == ""
    operator.execute({})
    assert link(operator) == f"https://alvys.example.com/loads/{load['Id']}"


@pytest.mark.parametrize("unset", [{}, {"web_url": None}, {"web_url": " "}])
def test_without_an_address_on_the_connection_there_is_no_link(
    connect: Callable[..., None], unset: dict[str, Any]
) -> None:
    connect(**unset)
    assert AlvysHook().settings.web_url is None
    assert link(LookAtLoad(task_id="look", load_number="1001")) == ""


def test_a_wrong_address_on_the_connection_is_told_by_the_hook(connect: Callable[..., None]) -> None:
    connect(web_url="https://alvys.example.com/{load}")
    with pytest.raises(AlvysValueError, match="web_url"):
        AlvysHook().get_conn()


def test_no_link_makes_no_noise(
    connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    connect(web_url="https://alvys.example.com/{load}")
    assert link(LookAtLoad(task_id="look", load_number="1001")) == ""
    monkeypatch.delenv(CONNECTION)
    assert link(LookAtLoad(task_id="look", load_number="1001")) == ""
    connect(web_url=PAGE)
    assert link(LookAtLoad(task_id="look", load_number="{{ ds }}")) == ""
    assert link(LookAtLoad.partial(task_id="look").expand(load_number=["1"])) == ""
    assert caplog.messages == []


def test_its_button_has_a_name() -> None:
    assert isinstance(AlvysRecordLink(), BaseOperatorLink)
    assert (AlvysRecordLink().name, AlvysRecordLink().xcom_key) == ("Alvys", "_link_AlvysRecordLink")


DAG_FILE = """
import os
from airflow.sdk import DAG
from airflow_provider_alvys.api.web import WebRecord
from airflow_provider_alvys.links import AlvysRecordLink
from airflow_provider_alvys.base_operator import AlvysTask

class LookAtLoad(AlvysTask):
    operator_extra_links = (AlvysRecordLink(),)

    def __init__(self, *, load_number, **kwargs):
        super().__init__(**kwargs)
        self.load_number = load_number

    def record_of_link(self):
        return WebRecord("loads", number=self.load_number)

    def execute(self, context):
        self.hook.get("loads", loadNumber=self.load_number)

with DAG("links", schedule=None):
    LookAtLoad.partial(task_id="look").expand(load_number=[os.environ["ALVYS_LOAD"]])
    LookAtLoad(task_id="fail", load_number="there-is-none")
    LookAtLoad(task_id="lost", alvys_conn_id="there_is_none", load_number="1")
"""
# What is in the DAGs folder beside the examples.
DAGS = {"links": DAG_FILE}


@pytest.mark.every_airflow
def test_airflow_keeps_the_links_of_tasks_that_end_well_and_of_those_that_do_not(
    airflow: Airflow, home: Path, own_alvys: Simulator
) -> None:
    number = json.loads(own_alvys.truth_rows()[0])["LoadNumber"]
    # It fails, as its tasks do.
    settings = {"ALVYS_LOAD": number, CONNECTION: own_alvys.connection_json(web_url=PAGE)}
    printed = airflow("dags", "test", "links", succeeds=False, **settings)
    with closing(sqlite3.connect(home / "airflow.db")) as database:
        rows = database.execute(
            "SELECT task_id, value FROM xcom WHERE key = '_link_AlvysRecordLink'"
        ).fetchall()
    links = {task_id: json.loads(value) for task_id, value in rows}
    # Older Airflows keep JSON as a text of JSON.
    assert {task_id: json.loads(text) if text[:1] == '"' else text for task_id, text in links.items()} == {
        "look": f"https://alvys.example.com/loads/{number}",
        "fail": "https://alvys.example.com/loads/there-is-none",
        "lost": "",
    }
    assert "Failed to push an xcom for task operator extra link" not in printed

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk import BaseOperatorLink

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.web import WebRecord
from airflow_provider_alvys.base_operator import AlvysTask
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.links import AlvysRecordLink
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import CONNECTION, Airflow, read_xcoms

PAGE = "https://alvys.example.com/{stream}/{number}"


class ReadLoadTask(AlvysTask):
    """A task that reads one load."""

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
    operator = ReadLoadTask(task_id="read", load_number=load["LoadNumber"])
    assert link(operator) == f"https://alvys.example.com/loads/{load['LoadNumber']}"
    connect(web_url=PAGE.replace("number", "id"))
    operator = ReadLoadTask(task_id="read", load_number=load["LoadNumber"])
    assert link(operator) == ""
    operator.execute({})
    assert link(operator) == f"https://alvys.example.com/loads/{load['Id']}"


@pytest.mark.parametrize("unset", [{}, {"web_url": None}, {"web_url": " "}])
def test_a_connection_without_web_url_gives_no_link(
    connect: Callable[..., None], unset: dict[str, Any]
) -> None:
    connect(**unset)
    assert AlvysHook().settings.web_url is None
    assert link(ReadLoadTask(task_id="read", load_number="1001")) == ""


def test_an_invalid_web_url_fails_in_the_hook(connect: Callable[..., None]) -> None:
    connect(web_url="https://alvys.example.com/{load}")
    with pytest.raises(AlvysValueError, match="web_url"):
        AlvysHook().get_conn()


def test_a_missing_link_logs_nothing(
    connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    connect(web_url="https://alvys.example.com/{load}")
    assert link(ReadLoadTask(task_id="read", load_number="1001")) == ""
    monkeypatch.delenv(CONNECTION)
    assert link(ReadLoadTask(task_id="read", load_number="1001")) == ""
    connect(web_url=PAGE)
    assert link(ReadLoadTask(task_id="read", load_number="{{ ds }}")) == ""
    assert link(ReadLoadTask.partial(task_id="read").expand(load_number=["1"])) == ""
    assert caplog.messages == []


def test_the_link_has_a_label() -> None:
    assert isinstance(AlvysRecordLink(), BaseOperatorLink)
    assert (AlvysRecordLink().name, AlvysRecordLink().xcom_key) == ("Alvys", "_link_AlvysRecordLink")


DAG_FILE = """
import os
from airflow.sdk import DAG
from airflow_provider_alvys.api.web import WebRecord
from airflow_provider_alvys.links import AlvysRecordLink
from airflow_provider_alvys.base_operator import AlvysTask

class ReadLoadTask(AlvysTask):
    operator_extra_links = (AlvysRecordLink(),)

    def __init__(self, *, load_number, **kwargs):
        super().__init__(**kwargs)
        self.load_number = load_number

    def record_of_link(self):
        return WebRecord("loads", number=self.load_number)

    def execute(self, context):
        self.hook.get("loads", loadNumber=self.load_number)

with DAG("links", schedule=None):
    ReadLoadTask.partial(task_id="read").expand(load_number=[os.environ["ALVYS_LOAD"]])
    ReadLoadTask(task_id="fail", load_number="unknown-load")
    ReadLoadTask(task_id="unconnected", alvys_conn_id="no_such_connection", load_number="1")
"""
# DAG files of the `home` fixture, in addition to the examples.
DAGS = {"links": DAG_FILE}


@pytest.mark.every_airflow
def test_airflow_stores_the_links_of_succeeded_and_failed_tasks(
    airflow: Airflow, own_alvys: Simulator
) -> None:
    number = json.loads(own_alvys.truth_rows()[0])["LoadNumber"]
    # Two of its tasks fail.
    settings = {"ALVYS_LOAD": number, CONNECTION: own_alvys.connection_json(web_url=PAGE)}
    printed = airflow("dags", "test", "links", succeeds=False, **settings)
    assert dict(read_xcoms(airflow, "links", "_link_AlvysRecordLink")) == {
        "read": f"https://alvys.example.com/loads/{number}",
        "fail": "https://alvys.example.com/loads/unknown-load",
        "unconnected": "",
    }
    assert "Failed to push an xcom for task operator extra link" not in printed

from __future__ import annotations

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.context import KNOWN_CONTEXT_KEYS
from airflow.sdk.definitions.decorators import task

from airflow_provider_alvys import parse_checks
from airflow_provider_alvys.parse_checks import has_template, per_run_variables

# The same in every run of a DAG.
FIXED = {
    "conf",
    "conn",
    "dag",
    "inlets",
    "map_index_template",
    "outlets",
    "params",
    "task",
    "templates_dict",
    "test_mode",
    "var",
}
STORES = {"task_state_store", "asset_state_store"}


@pytest.mark.every_airflow
def test_every_variable_of_airflows_context_is_listed_as_fixed_or_per_run() -> None:
    assert KNOWN_CONTEXT_KEYS - FIXED - STORES <= parse_checks._PER_RUN


def test_per_run_variables_are_found_anywhere_in_a_template() -> None:
    assert per_run_variables("/lake/{{ ds }}/{% if ts %}x{% endif %}/{{ dag_run.conf['a'] }}") == [
        "dag_run",
        "ds",
        "ts",
    ]
    assert (
        per_run_variables("/lake/{{ var.value.root }}/{{ dag.dag_id }}/{{ params.x }}/{{ my_macro() }}") == []
    )


def test_a_template_is_seen_in_any_depth() -> None:
    @task
    def upstream() -> str:
        return ""

    with DAG("d", schedule=None):
        output = upstream()
    for value in ("{{ x }}", {"a": ["b", "{{ c }}"]}, ("{% if x %}",), output, {"a": output}):
        assert has_template(value)
    for value in ("x", {"a": ["b"]}, None, 5, {"a": {"b": True}}):
        assert not has_template(value)

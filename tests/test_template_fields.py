"""Every template field of every operator and sensor takes an XComArg, a template, and a mapped value."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator, task

import airflow_provider_alvys
from airflow_provider_alvys._compat import AirflowFailException, AirflowNotFoundException
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.operators.alvys import AlvysSearchOperator
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator

# Valid arguments of each operator. One that has a template field for an optional argument gives it, too.
ARGUMENTS: Mapping[str, dict[str, Any]] = {
    "AlvysRequestOperator": {
        "path": "loads/search",
        "method": "POST",
        "json": {"Page": 0, "PageSize": 1, "Status": ["Open"]},
        "query_params": {"a": "b"},
        "headers": {"X-A": "b"},
    },
    "AlvysSearchOperator": {
        "stream": "loads",
        "filters": {"Status": ["Open"]},
        "window_by": "created",
        "since": "2026-01-01T00:00:00Z",
        "until": "2026-02-01T00:00:00Z",
    },
    "AlvysWriteOperator": {
        "operation": "load_documents.upload",
        "path_params": {"loadNumber": "1"},
        "body": {"DocumentType": "Proof of Delivery"},
        "if_match": "auto",
        "file": "/a.pdf",
        "approved": "0" * 64,
    },
    "AlvysUploadDocumentOperator": {
        "parent_type": "load",
        "parent_id": "1",
        "path": "/a.pdf",
        "document_type": "Proof of Delivery",
        "file_name": "a.pdf",
    },
    "AlvysToObjectStorageOperator": {
        "stream": "loads",
        "path": "/lake",
        "filters": {"CustomerId": "C1"},
        "window_by": "updated",
        "since": "2026-01-01T00:00:00Z",
        "until": "2026-02-01T00:00:00Z",
        "tenant": "acme",
    },
    "AlvysSweepToObjectStorageOperator": {"streams": ["drivers", "trucks"], "path": "/lake", "tenant": "a"},
    "AlvysDocumentsToObjectStorageOperator": {
        "parent_type": "load",
        "parents": ["1"],
        "path": "/lake",
        "document_types": ["Proof of Delivery"],
        "tenant": "acme",
    },
    "AlvysObjectStorageToSqlOperator": {
        "sql_conn_id": "sql",
        "path": "/lake",
        "stream": "loads",
        "manifest": "/lake/loads/_manifest.json",
        "schema": "raw",
        "table": "my_loads",
    },
    "AlvysReconcileOperator": {
        "stream": "loads",
        "sql_conn_id": "sql",
        "path": "/lake",
        "start": "2026-01-01T00:00:00Z",
        "end": "2026-02-01T00:00:00Z",
        "statuses": ["Open"],
        "schema": "raw",
        "table": "my_loads",
        "tenant": "acme",
    },
    "AlvysBeginFirstLoadOperator": {
        "stream": "loads",
        "path": "/lake",
        "start": "2026-01-01T00:00:00Z",
        "filters": {"CustomerId": "C1"},
    },
    "AlvysHandOverOperator": {
        "stream": "loads",
        "path": "/lake",
        "begun": "2026-01-01T00:00:00Z",
        "total": 1,
        "landed": [],
        "filters": {"CustomerId": "C1"},
        "tenant": "acme",
    },
    "AlvysLoadStatusSensor": {"load_number": "1", "statuses": "Open", "failed_statuses": ["Cancelled"]},
    "AlvysTripStatusSensor": {"trip_number": "1", "statuses": "Open", "failed_statuses": ["Cancelled"]},
    "AlvysDocumentSensor": {"parent_id": "1", "document_types": ["Proof of Delivery"]},
    "AlvysSearchSensor": {
        "stream": "loads",
        "filters": {"Status": ["Open"]},
        "window_by": "created",
        "since": "2026-01-01T00:00:00Z",
        "until": "2026-02-01T00:00:00Z",
    },
}
# Of fields that these cannot have.
OTHERS: Mapping[str, dict[str, Any]] = {
    "parents": {"stream": "load_documents", "parents": ["1"], "path": "/lake"},
    "initial_since": {"stream": "loads", "initial_since": "2026-01-01T00:00:00Z", "path": "/lake"},
}

BASES = {"TemplatedTask", "AlvysTask"}


def find_operators() -> Iterator[type[BaseOperator]]:
    for module in pkgutil.walk_packages(airflow_provider_alvys.__path__, "airflow_provider_alvys."):
        if ".simulator" in module.name or module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            is_own = inspect.isclass(value) and value.__module__ == module.name
            is_operator = is_own and issubclass(value, BaseOperator) and not inspect.isabstract(value)
            if is_operator and name not in BASES and name[0] != "_":
                yield value


OPERATORS = {operator.__name__: operator for operator in find_operators()}
FIELDS = [
    pytest.param(operator, field, id=f"{name}-{field}")
    for name, operator in sorted(OPERATORS.items())
    for field in operator.template_fields
]
EVERY_FIELD = pytest.mark.parametrize(("operator", "field"), FIELDS)


def arguments_of(operator: type[BaseOperator], field: str) -> dict[str, Any]:
    """Return valid arguments of an operator with this one."""
    arguments = ARGUMENTS[operator.__name__]
    if field in OTHERS and field not in arguments:
        accepted = inspect.signature(operator).parameters
        arguments = {name: value for name, value in OTHERS[field].items() if name in accepted}
    conn_id = "sql_conn_id" if field == "sql_conn_id" else "alvys_conn_id"
    return {conn_id: "alvys_default", **arguments} if field == conn_id else dict(arguments)


@task
def upstream() -> Any:
    """Return anything."""


@task
def one(x: int) -> Any:
    """Return anything."""


def a_function(context: Any, jinja_env: Any) -> Any:
    return context["value"]


REFERENCES: Mapping[str, Callable[[DAG], Any]] = {
    "output": lambda dag: upstream(),
    "key": lambda dag: upstream()["path"],
    "map": lambda dag: upstream().map(lambda x: x),
    "zip": lambda dag: upstream().zip(upstream()),
    "concat": lambda dag: upstream().concat(upstream()),
    "mapped": lambda dag: one.expand(x=[1, 2]),
    "operator": lambda dag: BaseOperator(task_id=f"plain_{len(dag.tasks)}").output["path"],
    "dag parameter": lambda dag: dag.param("x", "y"),
    "template": lambda dag: "{{ params.x }}",
    "statement": lambda dag: "{% if params.x %}x{% endif %}",
    "function": lambda dag: a_function,
}


def test_every_operator_has_arguments_here() -> None:
    assert set(OPERATORS) == set(ARGUMENTS)
    for operator in OPERATORS.values():
        for field in operator.template_fields:
            assert field in arguments_of(operator, field)


@pytest.mark.every_airflow
@pytest.mark.parametrize("kind", REFERENCES)
@EVERY_FIELD
def test_a_template_field_takes_a_value_of_the_run(
    operator: type[BaseOperator], field: str, kind: str
) -> None:
    arguments = arguments_of(operator, field)
    with DAG("dag", schedule=None) as dag:
        value = REFERENCES[kind](dag)
        made = operator(task_id="made", **{**arguments, field: value})
        if kind in ("output", "key"):
            assert made.upstream_task_ids == {"upstream"}
        # Beside others, and as an argument of a mapped task.
        for name in operator.template_fields:
            if name != field and name in arguments:
                both = {**arguments, field: value, name: REFERENCES[kind](dag)}
                operator(task_id=f"both_{name}", **both)


@pytest.mark.every_airflow
@EVERY_FIELD
def test_a_template_field_takes_a_mapped_value(operator: type[BaseOperator], field: str) -> None:
    arguments = arguments_of(operator, field)
    value = arguments.pop(field)
    with DAG("dag", schedule=None):
        mapped = operator.partial(task_id="mapped", **arguments).expand(**{field: [value]})
        over = operator.partial(task_id="over", **arguments).expand(**{field: upstream()})
        for others in ("{{ params.x }}", upstream()):
            given = {
                name: others if name in operator.template_fields else value
                for name, value in arguments.items()
            }
            beside = operator.partial(task_id=f"beside_{type(others).__name__}", **given).expand(
                **{field: [value]}
            )
            assert isinstance(beside.unmap({field: value}), operator)
    assert getattr(mapped.unmap({field: value}), field) == value
    assert isinstance(over.unmap({field: value}), operator)


# Nothing takes these, except that JSON may be any value.
WRONG: Mapping[str, Any] = {
    "a number": 1.5,
    "a dict": {"a": 1},
    "a nested list": [{"a": [None]}],
    "nothing": None,
}


# None there means the same as in a call, and reads or loads no less than was asked for.
NONE_FIELDS: Mapping[str, tuple[str, ...]] = {
    "AlvysSearchOperator": ("window_by", "since", "until"),
    "AlvysToObjectStorageOperator": ("window_by", "until", "initial_since"),
    "AlvysObjectStorageToSqlOperator": ("manifest",),
    "AlvysReconcileOperator": ("start", "end", "statuses"),
    "AlvysSearchSensor": ("window_by", "since", "until"),
}


class FakeTaskInstance:
    """The task instance of an upstream task that returned a value."""

    dag_id, task_id, run_id, map_index, max_tries = "dag", "made", "run", -1, 0

    def __init__(self, value: Any) -> None:
        self.value = value

    def xcom_pull(self, **arguments: Any) -> Any:
        return self.value

    def get_relevant_upstream_map_indexes(self, **arguments: Any) -> None:
        return None


@pytest.mark.parametrize("kind", WRONG)
@EVERY_FIELD
def test_a_wrong_value_of_the_run_is_refused_before_anything_is_sent(
    alvys: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    operator: type[BaseOperator],
    field: str,
    kind: str,
) -> None:
    if kind != "nothing" and (field == "json" or (kind, field) == ("a dict", "query_params")):
        pytest.skip("any value is valid")
    if kind == "nothing" and field in NONE_FIELDS.get(operator.__name__, ()):
        pytest.skip("the field counts as not given")
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    arguments = {
        name: re.sub("^/(lake|a.pdf)", rf"{tmp_path}/\1", value) if isinstance(value, str) else value
        for name, value in arguments_of(operator, field).items()
    }
    with DAG("dag", schedule=None):
        made = operator(task_id="made", **{**arguments, field: upstream()})
    if isinstance(made, BaseSensorOperator):
        made.timeout = 0.1
    if "sql_conn_id" in operator.template_fields:
        pytest.importorskip("airflow.providers.sqlite")
        database = {"conn_type": "sqlite", "host": str(tmp_path / "sql.sqlite")}
        monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps(database))
    context: Any = {"ti": FakeTaskInstance(WRONG[kind])}
    made.render_template_fields(context)
    if field == "alvys_conn_id" and kind != "nothing":
        wanted: Any = AirflowNotFoundException
    else:
        wanted = (AlvysValueError, AirflowFailException)
    with pytest.raises(wanted):
        made.execute(context)
    assert set(alvys.stats()["requests"]) <= {"POST token"}


def with_text(value: Any, text: str) -> Any:
    """Return a value of the same form, with a text in place of each of its texts."""
    if isinstance(value, dict):
        return {name: with_text(item, text) for name, item in value.items()}
    if isinstance(value, list):
        return [with_text(item, text) for item in value]
    return text if isinstance(value, str) else value


@pytest.mark.parametrize("is_mapped", [False, True])
@EVERY_FIELD
def test_an_output_of_a_task_is_never_rendered_as_a_template(
    operator: type[BaseOperator], field: str, is_mapped: bool
) -> None:
    arguments = arguments_of(operator, field)
    value = with_text(arguments.pop(field), "{{ 6 * 7 }}")
    with DAG("dag", schedule=None) as dag:
        if is_mapped:
            made = operator.partial(task_id="made", **arguments).expand(**{field: upstream()})
        else:
            made = operator(task_id="made", **arguments, **{field: upstream()})
    ti: Any = FakeTaskInstance([value] if is_mapped else value)
    ti.task, ti.map_index = made, 0 if is_mapped else -1
    context: Any = {"ti": ti, "run_id": "run", "task": made, "dag": dag, "dag_run": SimpleNamespace(conf={})}
    made.render_template_fields(context)
    assert getattr(context["task"] if is_mapped else made, field) == value


def test_only_these_fields_may_render_to_none() -> None:
    found = {name: operator.none_fields for name, operator in OPERATORS.items() if operator.none_fields}  # type: ignore[attr-defined]
    assert found == NONE_FIELDS


@pytest.mark.parametrize(
    ("operator", "field"),
    [
        pytest.param(OPERATORS[name], field, id=f"{name}-{field}")
        for name, fields in NONE_FIELDS.items()
        for field in fields
    ],
)
@pytest.mark.parametrize("is_native", [True, False], ids=["native template", "output"])
def test_a_field_that_renders_to_none_counts_as_not_given(
    alvys: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    operator: type[BaseOperator],
    field: str,
    is_native: bool,
) -> None:
    arguments: dict[str, Any]
    compares = "sql_conn_id" in operator.template_fields and "statuses" in operator.template_fields
    if compares:
        arguments = {"stream": "loads"}
    elif "sql_conn_id" in operator.template_fields:
        pytest.importorskip("airflow.providers.sqlite")
        database = {"conn_type": "sqlite", "host": str(tmp_path / "sql.sqlite")}
        monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps(database))
        arguments = {"sql_conn_id": "sql", "stream": "loads"}
    else:
        arguments = {"stream": "loads", "filters": {"Status": ["Open"]}}
        if field in ("until", "window_by"):
            arguments["since"] = "2020-01-01T00:00:00Z"
    results = []
    for number, given in enumerate(({field: "{{ params.x }}" if is_native else upstream}, {})):
        if "path" in operator.template_fields:
            arguments["path"] = str(tmp_path / str(number))
        if compares:
            AlvysToObjectStorageOperator(
                task_id="land", since="2020-01-01T00:00:00Z", until="2030-01-01T00:00:00Z", **arguments
            ).execute({})
        if field == "initial_since":
            # Needed only until there is a cursor.
            operator(task_id="made", initial_since="2020-01-01T00:00:00Z", **arguments).execute({})
        with DAG("dag", schedule=None, render_template_as_native_obj=True):
            value = {name: item() if callable(item) else item for name, item in given.items()}
            made = operator(task_id="made", **arguments, **value)
        context: Any = {"ti": FakeTaskInstance(None), "params": {"x": None}}
        made.render_template_fields(context)
        results.append(made.execute({}))
    if isinstance(results[0], dict):
        for result in results:
            for name in ("manifest", "path", "since", "until", "as_of", "seconds", "waited"):
                result.pop(name, None)
    assert results[0] == results[1]


class LazyOutput(Sequence[Any]):
    """The output of a mapped task, before and after Airflow resolves it."""

    def __init__(self, *items: Any) -> None:
        self._items = items

    def __repr__(self) -> str:
        return "LazyOutput(" + ", ".join(map(repr, self._items)) + ")"

    def iter_references(self) -> tuple[()]:
        return ()

    def resolve(self, context: Any) -> LazyOutput:
        return self

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)


@pytest.mark.parametrize(
    ("filters", "is_native"),
    [
        pytest.param({"Status": ["{{ params.status }}"]}, False, id="a template in a list"),
        pytest.param({"Status": LazyOutput("Open")}, False, id="the output of a mapped task in a dict"),
        pytest.param("{{ {'Status': [params.status]} }}", True, id="a native template"),
        pytest.param(lambda context, jinja_env: {"Status": ["Open"]}, False, id="a function"),
    ],
)
@pytest.mark.parametrize("operator", ["AlvysSearchOperator", "AlvysToObjectStorageOperator"])
def test_filters_are_the_same_however_they_are_given(
    alvys: Simulator, tmp_path: Path, operator: str, filters: Any, is_native: bool
) -> None:
    given: dict[str, Any] = {"stream": "loads", "since": "2020-01-01T00:00:00Z", "filters": filters}
    if "path" in OPERATORS[operator].template_fields:
        given |= {"path": str(tmp_path)}
    context: Any = {"params": {"status": "Open"}}
    with DAG("dag", schedule=None, render_template_as_native_obj=is_native):
        made = OPERATORS[operator](task_id="made", **given)
    made.render_template_fields(context)
    result = made.execute(context)
    found = result["rows"] if isinstance(result, dict) else len(result)
    assert found == len(alvys.truth_rows(filters=json.dumps({"Status": ["Open"]}))) > 0


@pytest.mark.parametrize(
    "filters", ["", "{{ '' }}", LazyOutput(), {"Status": ["{{ params.status }}"]}], ids=str
)
def test_filters_that_render_to_nothing_do_not_read_all_rows(alvys: Simulator, filters: Any) -> None:
    with DAG("dag", schedule=None):
        made = AlvysSearchOperator(task_id="made", stream="loads", filters=filters or "{{ '' }}")
    context: Any = {"params": {"status": ""}}
    made.render_template_fields(context)
    with pytest.raises((AlvysValueError, AirflowFailException)):
        made.execute(context)
    assert alvys.stats()["requests"] == {}


@pytest.mark.parametrize("tenant", ["", " ", 5, ["acme"]])
@pytest.mark.parametrize(
    "operator",
    [operator for operator in OPERATORS.values() if "tenant" in operator.template_fields],
    ids=lambda operator: operator.__name__,
)
def test_a_tenant_that_is_no_name_is_refused(
    alvys: Simulator, tmp_path: Path, operator: type[BaseOperator], tenant: Any
) -> None:
    arguments = arguments_of(operator, "tenant") | {"path": str(tmp_path), "tenant": "{{ x }}"}
    made = operator(task_id="made", **arguments)
    made.tenant = tenant  # type: ignore[attr-defined]
    with pytest.raises((AlvysValueError, AirflowFailException)):
        made.execute({})
    assert alvys.stats()["requests"] == {}
    assert list(tmp_path.iterdir()) == []

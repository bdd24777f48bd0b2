from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, XComArg

from airflow_provider_alvys._compat import HAS_RETRY_POLICY, AirflowFailException, AirflowTaskTimeout
from airflow_provider_alvys.api.catalogue.operations import OPERATIONS
from airflow_provider_alvys.api.errors import (
    AlvysNotFoundError,
    AlvysPreconditionError,
    AlvysUnknownOutcomeError,
    AlvysValueError,
)
from airflow_provider_alvys.api.write.prepare import Write
from airflow_provider_alvys.operators.alvys import AlvysRequestOperator, AlvysWriteOperator
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import QuickHook
from tests.writes import PDF, body_of, request_of, request_to

CHECK_CALL = str(OPERATIONS["trip_check_calls.create"].endpoint)
UNKNOWN = AlvysUnknownOutcomeError if HAS_RETRY_POLICY else AirflowFailException


class Store(dict[str, Any]):
    """A task's state store, as Airflow 3.3 hands it to a task."""

    def set(self, key: str, value: Any) -> None:
        assert value is not None
        self[key] = json.loads(json.dumps(value))

    def delete(self, key: str) -> None:
        self.pop(key, None)


Said = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Said:
    """Return what was logged since it was asked last, wherever this Airflow's tasks log to."""
    caplog.set_level(logging.DEBUG)

    def said() -> str:
        text = capsys.readouterr().out + caplog.text
        caplog.clear()
        return text

    return said


@pytest.fixture(autouse=True)
def small(alvys: Simulator) -> None:
    alvys.reset(loads=40, fleet=10)


def task(hook: QuickHook | None = None, **arguments: Any) -> AlvysWriteOperator:
    operator = AlvysWriteOperator(task_id="write", **arguments)
    if hook is not None:
        operator.hook = hook
    return operator


def plain(request: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name != "file"}


def call(alvys: Simulator, hook: QuickHook, **changes: Any) -> AlvysWriteOperator:
    return task(
        hook,
        operation="trip_check_calls.create",
        **{**plain(request_to(alvys, "trip_check_calls.create")), **changes},
    )


@pytest.mark.every_airflow
@pytest.mark.parametrize("name", [name for name, row in OPERATIONS.items() if not row.upload])
def test_a_write_takes_place_and_its_answer_is_plain_json(
    name: str, alvys: Simulator, hook: QuickHook
) -> None:
    answer = task(hook, operation=name, **plain(request_to(alvys, name))).execute({})
    assert alvys.effects() == {name: 1}
    assert json.loads(json.dumps(answer)) == answer


def test_an_upload_takes_its_file_from_a_bucket(alvys: Simulator, hook: QuickHook, bucket: Any) -> None:
    bucket.put_object(Bucket="lake", Key="shelf/pod.pdf", Body=PDF)
    ids = plain(request_to(alvys, "load_documents.upload"))
    operator = task(hook, operation="load_documents.upload", file="s3://aws_lake@lake/shelf/pod.pdf", **ids)
    assert operator.execute({})["AttachmentSize"] == len(PDF)
    operator.file = "s3://aws_lake@lake/shelf/none.pdf"
    with pytest.raises(AlvysValueError, match="There is no file s3://aws_lake@lake/shelf/none.pdf"):
        operator.execute({})
    operator.file = "nowhere://lake/pod.pdf"
    with pytest.raises(AlvysValueError, match="nowhere://lake/pod.pdf cannot be read: "):
        operator.execute({})


def test_an_upload_takes_its_file_from_this_machine(
    alvys: Simulator, hook: QuickHook, tmp_path: Path
) -> None:
    (tmp_path / "pod.pdf").write_bytes(PDF)
    ids = plain(request_to(alvys, "load_documents.upload"))
    local = task(hook, operation="load_documents.upload", file=str(tmp_path / "pod.pdf"), **ids).execute({})
    assert local["AttachmentSize"] == len(PDF)
    with pytest.raises(AlvysValueError, match="There is no file"):
        task(hook, operation="load_documents.upload", file=str(tmp_path / "none.pdf"), **ids).execute({})
    with pytest.raises(AlvysValueError, match="needs file"):
        task(operation="load_documents.upload", **ids)
    with pytest.raises(AlvysValueError, match="takes no file"):
        task(operation="trips.dispatch", path_params={"tripId": "1"}, file="/x.pdf")
    with pytest.raises(AlvysValueError, match="relative"):
        task(operation="load_documents.upload", file="x.pdf", **ids)


@pytest.mark.every_airflow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operation": "trips.asign"}, "Did you mean trips.assign"),
        ({"path_params": {}}, "the path parameter tripId is missing"),
        ({"path_params": {"tripId": "{{ t }}", "x": 1}}, "there is no path parameter x"),
        ({"body": {"CarrierId": "{{ c }}"}}, "DispatcherId is missing"),
        (
            {"body": {"CarrierId": "{{ c }}", "DispatcherId": "D", "Truck": "{{ x }}"}},
            "no field Truck: did you mean TruckId",
        ),
        (
            {"body": {"CarrierId": "{{ c }}", "DispatcherId": "D", "CarrierRate": "much"}},
            "CarrierRate='much' must be a number",
        ),
        ({"body": {"CarrierId": "{{ c }}", "DispatcherId": "D", "Driver2Id": "E"}}, "Driver1Id is needed"),
        ({"body": ["x"]}, "is no dict"),
        ({"if_match": '"v1"'}, "Alvys knows no versions here"),
        (
            {
                "operation": "carriers.set_status",
                "path_params": {"carrierId": "{{ c }}"},
                "body": {"Status": "Aktive"},
            },
            "'Active'",
        ),
        (
            {"operation": "loads.update", "path_params": "{{ p }}", "body": "{{ b }}", "if_match": None},
            "requires a version",
        ),
    ],
    ids=[
        "operation",
        "param",
        "no param",
        "field",
        "no field",
        "type",
        "rule",
        "dict",
        "version",
        "enum",
        "no version",
    ],
)
def test_what_is_not_templated_is_checked_while_the_dag_is_parsed(
    arguments: dict[str, Any], message: str
) -> None:
    valid = {"operation": "trips.assign", "path_params": {"tripId": "{{ t }}"}, "body": "{{ b }}"}
    with pytest.raises(AlvysValueError, match=message):
        task(**{**valid, **arguments})


@pytest.mark.every_airflow
def test_what_is_templated_is_checked_before_it_is_sent(alvys: Simulator, hook: QuickHook) -> None:
    with DAG("d", schedule=None):
        before = AlvysRequestOperator(task_id="before", path="/v1/me")
        operator = AlvysWriteOperator(
            task_id="write",
            operation="trips.assign",
            path_params={"tripId": "{{ t }}"},
            body=XComArg(before),
            if_match="{{ e }}",
        )
    operator.hook = hook
    operator.path_params, operator.body, operator.if_match = {"tripId": "1"}, {"CarrierId": "C"}, "auto"
    with pytest.raises(AlvysValueError, match="DispatcherId is missing"):
        operator.execute({})
    assert alvys.stats()["requests"] == {}


@pytest.mark.every_airflow
def test_amounts_are_exact_through_templates(alvys: Simulator, hook: QuickHook) -> None:
    request = plain(request_to(alvys, "deductions.create"))
    operator = task(
        hook,
        operation="deductions.create",
        body={**request["body"], "Amount": "{{ amount }}", "Date": "{{ ds }}"},
    )
    operator.render_template_fields(
        {"amount": Decimal("-75.10"), "ds": "2026-03-02"}, operator.get_template_env()
    )  # type: ignore[arg-type]
    answer = operator.execute({})
    assert answer["Amount"]["Amount"] == -75.10
    assert answer["Date"].startswith("2026-03-02T00:00:00")


def test_the_payment_of_the_page_on_writing_is_one_that_alvys_takes(
    alvys: Simulator, hook: QuickHook
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "writing.md").read_text()
    code = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(code.replace("    AlvysWriteOperator(", "    pay = AlvysWriteOperator("), names)
    operator = names["pay"]
    trip = request_to(alvys, "invoices.record_carrier_payment")["body"]["TripId"]
    run = SimpleNamespace(run_after=datetime(2026, 3, 2, 14, 5, tzinfo=timezone.utc))
    context: Any = {"params": {"trip_id": trip, "amount": "12.50"}, "dag_run": run, "run_id": "manual"}
    operator.render_template_fields(context, operator.get_template_env())
    operator.hook = hook
    (payment,) = operator.execute({})["CarrierPayments"]
    assert payment["PaymentDate"].startswith("2026-03-02T00:00:00")


@pytest.mark.every_airflow
def test_a_conflict_names_both_versions(alvys: Simulator, hook: QuickHook) -> None:
    request = plain(request_to(alvys, "loads.update"))
    with pytest.raises(
        AlvysPreconditionError if HAS_RETRY_POLICY else AirflowFailException,
        match='version "old" that was sent',
    ):
        task(hook, operation="loads.update", if_match='"old"', **request).execute({})


@pytest.mark.every_airflow
@pytest.mark.parametrize("name", ["webhooks.create", "webhooks.rotate_secret"])
def test_a_secret_is_masked_and_left_out(
    name: str, alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    masked: list[str] = []
    monkeypatch.setattr("airflow_provider_alvys.operators.writes.mask_secret", masked.append)
    request = request_to(alvys, name)
    secret = hook.write(name, **request).get("Secret") if name == "webhooks.create" else "s3cret"
    assert secret
    send = hook.send
    monkeypatch.setattr(hook, "send", lambda write: {**send(write), "Secret": secret, "Id": "W1"})
    answer = task(hook, operation=name, **plain(request)).execute({})
    assert answer["Id"] == "W1"
    assert "Secret" not in answer
    assert masked == [secret]
    text = said()
    assert secret not in json.dumps(answer) + text
    assert "Secret is left out of the result" in text


def test_a_secret_is_left_out_however_it_is_spelled_and_wherever_it_stands(
    alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    masked: list[str] = []
    monkeypatch.setattr("airflow_provider_alvys.operators.writes.mask_secret", masked.append)
    answer = {
        "id": "W1",
        "secret": "s3cret",
        "webhook": {"SECRET": "s4cret", "name": "n"},
        "all": [{"Secret": "s5cret", "id": 2}],
    }
    monkeypatch.setattr(hook, "send", lambda write: answer)
    result = task(
        hook, operation="webhooks.rotate_secret", **plain(request_of("webhooks.rotate_secret"))
    ).execute({})
    assert result == {"id": "W1", "webhook": {"name": "n"}, "all": [{"id": 2}]}
    assert sorted(masked) == ["s3cret", "s4cret", "s5cret"]


def test_an_answer_that_may_be_a_secret_itself_is_left_out(
    alvys: Simulator, hook: QuickHook, monkeypatch: Any
) -> None:
    request = plain(request_of("webhooks.rotate_secret"))
    monkeypatch.setattr(hook, "send", lambda write: "s3cret")
    assert task(hook, operation="webhooks.rotate_secret", **request).execute({}) is None


# --- lost answers, and workers that die


@pytest.mark.every_airflow
def test_a_lost_answer_fails_the_task_for_good(alvys: Simulator, hook: QuickHook) -> None:
    operator, store = call(alvys, hook), Store()
    alvys.order_faults({"kind": "lost", "endpoint": CHECK_CALL})
    with pytest.raises(UNKNOWN, match="is unknown. To find out, look among the check calls"):
        operator.execute({"task_state_store": store})  # type: ignore[arg-type]
    assert store == {}
    assert alvys.effects() == {"trip_check_calls.create": 1}


@pytest.mark.every_airflow
def test_a_retry_policy_of_the_users_own_does_not_send_twice(alvys: Simulator, hook: QuickHook) -> None:
    operator = call(alvys, hook)
    operator.retry_policy = None
    alvys.order_faults({"kind": "lost", "endpoint": CHECK_CALL})
    with pytest.raises(AirflowFailException, match="is unknown"):
        operator.execute({})


class Killed(BaseException):
    """A worker that dies."""


def die_while_sending(
    operator: AlvysWriteOperator, store: Store, monkeypatch: pytest.MonkeyPatch, context: Any = None
) -> None:
    send = operator.hook.send

    def die(write: Write) -> Any:
        send(write)
        raise Killed

    monkeypatch.setattr(operator.hook, "send", die)
    with pytest.raises(Killed):
        operator.execute(context or {"task_state_store": store})  # type: ignore[arg-type]
    monkeypatch.setattr(operator.hook, "send", send)


@pytest.mark.every_airflow
def test_a_retry_after_the_worker_died_does_not_send_again_and_a_clear_does(
    alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, store = call(alvys, hook), Store()
    die_while_sending(operator, store, monkeypatch)
    with pytest.raises(
        UNKNOWN,
        match="An earlier try of this task was ended while it sent .*To find out, look among the check",
    ):
        operator.execute({"task_state_store": store})  # type: ignore[arg-type]
    assert alvys.effects() == {"trip_check_calls.create": 1}
    operator.execute({"task_state_store": store})  # type: ignore[arg-type]
    assert alvys.effects() == {"trip_check_calls.create": 2}
    assert store == {}


@pytest.mark.every_airflow
def test_a_note_of_another_item_in_the_same_place_does_not_stop_this_one(
    alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    die_while_sending(call(alvys, hook), store, monkeypatch)
    call(alvys, hook, body={"Description": "another one"}).execute({"task_state_store": store})  # type: ignore[arg-type]
    assert alvys.effects() == {"trip_check_calls.create": 2}
    assert store == {}


def in_round(store: Store, tries: int) -> Any:
    """Return the context of a try. Those of one round have the same most tries, and a clear begins another one."""
    return {"task_state_store": store, "ti": SimpleNamespace(max_tries=tries)}


@pytest.mark.every_airflow
def test_a_retry_does_not_send_again_though_its_templates_have_become_something_else(
    alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    die_while_sending(
        call(alvys, hook, body={"Description": "try 1"}), store, monkeypatch, in_round(store, 2)
    )
    retry = call(alvys, hook, body={"Description": "try 2"})
    for _ in range(2):
        with pytest.raises(UNKNOWN, match="An earlier try of this task was ended"):
            retry.execute(in_round(store, 2))
    assert alvys.effects() == {"trip_check_calls.create": 1}
    retry.execute(in_round(store, 5))
    assert alvys.effects() == {"trip_check_calls.create": 2}


@pytest.mark.every_airflow
def test_a_retry_after_the_answer_came_tells_it_and_a_clear_sends_again(
    alvys: Simulator, hook: QuickHook
) -> None:
    operator, store = call(alvys, hook), Store()
    answer = operator.execute(in_round(store, 2))
    # The worker dies here: Airflow has not heard of it.
    assert answer["Id"]
    assert operator.execute(in_round(store, 2)) == answer
    assert alvys.effects() == {"trip_check_calls.create": 1}
    assert operator.execute(in_round(store, 3))["Id"] != answer["Id"]
    assert alvys.effects() == {"trip_check_calls.create": 2}


@pytest.mark.every_airflow
def test_a_retry_after_an_unknown_outcome_does_not_send_and_a_clear_does(
    alvys: Simulator, hook: QuickHook
) -> None:
    operator, store = call(alvys, hook), Store()
    alvys.order_faults({"kind": "lost", "endpoint": CHECK_CALL})
    for _ in range(3):
        with pytest.raises(UNKNOWN, match="is unknown"):
            operator.execute(in_round(store, 2))
    assert alvys.effects() == {"trip_check_calls.create": 1}
    operator.execute(in_round(store, 3))
    assert alvys.effects() == {"trip_check_calls.create": 2}


@pytest.mark.every_airflow
def test_what_was_refused_may_be_sent_by_a_retry(alvys: Simulator, hook: QuickHook) -> None:
    store, params = Store(), request_to(alvys, "trip_check_calls.create")["path_params"]
    with pytest.raises(Exception, match="404"):
        call(alvys, hook, path_params={"tripId": "nobody"}).execute(in_round(store, 2))
    call(alvys, hook, path_params=params).execute(in_round(store, 2))
    assert alvys.effects() == {"trip_check_calls.create": 1}


def time_is_over(hook: QuickHook, monkeypatch: pytest.MonkeyPatch) -> None:
    client = hook.get_conn()
    call = client.call

    def late(*args: Any, **options: Any) -> Any:
        call(*args, **options)
        raise AirflowTaskTimeout

    monkeypatch.setattr(client, "call", late)


@pytest.mark.every_airflow
@pytest.mark.parametrize("stored", [True, False])
def test_a_write_that_is_not_safe_and_runs_out_of_time_fails_for_good(
    stored: bool, alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, store = call(alvys, hook), Store()
    time_is_over(hook, monkeypatch)
    with pytest.raises(
        AirflowFailException, match="time of this task was over while it sent .* look among the check calls"
    ):
        operator.execute(in_round(store, 2) if stored else {})
    monkeypatch.undo()
    if stored:
        with pytest.raises(UNKNOWN):
            operator.execute(in_round(store, 2))
    assert alvys.effects() == {"trip_check_calls.create": 1}


@pytest.mark.every_airflow
def test_a_write_that_is_safe_and_runs_out_of_time_may_be_retried(
    alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "trip_stops.set_arrival"
    operator = task(hook, operation=name, **plain(request_to(alvys, name)))
    time_is_over(hook, monkeypatch)
    with pytest.raises(AirflowTaskTimeout):
        operator.execute({})


@pytest.mark.every_airflow
def test_what_was_surely_not_done_leaves_no_note(
    alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, context = Store(), {"task_state_store": Store()}
    operator = call(alvys, hook, path_params={"tripId": "nobody"})
    with pytest.raises(Exception, match="404"):
        operator.execute(context)  # type: ignore[arg-type]
    monkeypatch.delenv("AIRFLOW_CONN_ALVYS_DEFAULT")
    operator = task(
        operation="trip_check_calls.create",
        path_params={"tripId": "1"},
        body=body_of("trip_check_calls.create"),
    )
    with pytest.raises(Exception, match="alvys_default"):
        operator.execute(context)  # type: ignore[arg-type]
    assert context["task_state_store"] == store == {}


def test_what_is_safe_to_repeat_needs_no_note(
    alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, store = "invoices.record_carrier_payment", Store()
    operator = task(hook, operation=name, **plain(request_to(alvys, name)))
    die_while_sending(operator, store, monkeypatch)
    assert store == {}
    operator.execute({"task_state_store": store})  # type: ignore[arg-type]
    assert alvys.effects() == {name: 1}


@pytest.mark.every_airflow
@pytest.mark.parametrize("name", [name for name, row in OPERATIONS.items() if row.deletes_record])
def test_what_an_earlier_try_has_removed_is_gone_and_that_is_what_was_wanted(
    name: str, alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, request = Store(), plain(request_to(alvys, name))
    operator = task(hook, operation=name, **request)
    die_while_sending(operator, store, monkeypatch, context=in_round(store, 2))
    assert operator.execute(in_round(store, 2)) is None
    assert alvys.effects() == {name: 1}
    # A clear, and a retry that means another one, tell what they are told.
    with pytest.raises((AlvysNotFoundError, AirflowFailException), match="404"):
        operator.execute(in_round(store, 4))
    nobody = dict.fromkeys(request["path_params"], "nobody")
    store.set("alvys_sending", {"state": "sending", "what": "another one", "tries": 2})
    with pytest.raises((AlvysNotFoundError, AirflowFailException), match="404"):
        task(hook, operation=name, path_params=nobody).execute(in_round(store, 2))
    assert store == {}


@pytest.mark.every_airflow
def test_a_task_that_writes_by_the_hook_and_runs_out_of_time_fails_for_good(
    alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_is_over(hook, monkeypatch)
    with pytest.raises(
        AirflowFailException, match="time of this task was over while it sent trip_check_calls.create"
    ):
        hook.write("trip_check_calls.create", **plain(request_to(alvys, "trip_check_calls.create")))
    name = "trip_stops.set_arrival"
    with pytest.raises(AirflowTaskTimeout):
        hook.write(name, **plain(request_to(alvys, name)))


@pytest.mark.every_airflow
def test_without_a_state_store_it_is_said_once(alvys: Simulator, hook: QuickHook, said: Said) -> None:
    call(alvys, hook).execute({})
    assert said().count("this Airflow has no state store") == 1
    call(alvys, hook).execute({"task_state_store": Store()})  # type: ignore[arg-type]
    assert "state store" not in said()


@pytest.mark.every_airflow
def test_mapped_writes_are_made_each_with_its_own_content() -> None:
    with DAG("d", schedule=None) as dag:
        AlvysWriteOperator.partial(task_id="write", operation="load_notes.delete").expand(
            path_params=[{"loadNumber": "1", "noteId": str(number)} for number in range(3)]
        )
    assert dag.get_task("write").partial_kwargs["operation"] == "load_notes.delete"

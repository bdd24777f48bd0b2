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


def outcome(caught: pytest.ExceptionInfo[Exception]) -> AlvysUnknownOutcomeError:
    """Return the unknown outcome that a task raised, or that Airflow 3.1 has as the cause."""
    error = caught.value if isinstance(caught.value, AlvysUnknownOutcomeError) else caught.value.__cause__
    assert isinstance(error, AlvysUnknownOutcomeError)
    return error


class Store(dict[str, Any]):
    """A task's state store, as in Airflow 3.3."""

    def set(self, key: str, value: Any) -> None:
        assert value is not None
        self[key] = json.loads(json.dumps(value))

    def delete(self, key: str) -> None:
        self.pop(key, None)


ReadLog = Callable[[], str]


@pytest.fixture
def read_log(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> ReadLog:
    """Return a function that returns the log since its last call, wherever this Airflow's tasks log to."""
    caplog.set_level(logging.DEBUG)

    def read() -> str:
        text = capsys.readouterr().out + caplog.text
        caplog.clear()
        return text

    return read


@pytest.fixture(autouse=True)
def small_tenant(alvys: Simulator) -> None:
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
def test_a_write_takes_place_once_and_returns_plain_json(
    name: str, alvys: Simulator, hook: QuickHook
) -> None:
    answer = task(hook, operation=name, **plain(request_to(alvys, name))).execute({})
    assert alvys.effects() == {name: 1}
    assert json.loads(json.dumps(answer)) == answer


def test_an_upload_reads_its_file_from_a_bucket(alvys: Simulator, hook: QuickHook, bucket: Any) -> None:
    bucket.put_object(Bucket="lake", Key="shelf/pod.pdf", Body=PDF)
    ids = plain(request_to(alvys, "load_documents.upload"))
    operator = task(hook, operation="load_documents.upload", file="s3://aws_lake@lake/shelf/pod.pdf", **ids)
    assert operator.execute({})["AttachmentSize"] == len(PDF)
    operator.file = "s3://aws_lake@lake/shelf/none.pdf"
    with pytest.raises(AlvysValueError, match="s3://aws_lake@lake/shelf/none.pdf"):
        operator.execute({})
    operator.file = "nowhere://lake/pod.pdf"
    with pytest.raises(AlvysValueError, match="nowhere://lake/pod.pdf"):
        operator.execute({})


def test_an_upload_reads_a_local_file(alvys: Simulator, hook: QuickHook, tmp_path: Path) -> None:
    (tmp_path / "pod.pdf").write_bytes(PDF)
    ids = plain(request_to(alvys, "load_documents.upload"))
    local = task(hook, operation="load_documents.upload", file=str(tmp_path / "pod.pdf"), **ids).execute({})
    assert local["AttachmentSize"] == len(PDF)
    with pytest.raises(AlvysValueError, match="none.pdf"):
        task(hook, operation="load_documents.upload", file=str(tmp_path / "none.pdf"), **ids).execute({})
    with pytest.raises(AlvysValueError, match="load_documents.upload"):
        task(operation="load_documents.upload", **ids)
    with pytest.raises(AlvysValueError, match="trips.dispatch"):
        task(operation="trips.dispatch", path_params={"tripId": "1"}, file="/x.pdf")
    with pytest.raises(AlvysValueError, match="relative"):
        task(operation="load_documents.upload", file="x.pdf", **ids)


@pytest.mark.every_airflow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operation": "trips.asign"}, "trips.assign"),
        ({"path_params": {}}, "tripId"),
        ({"path_params": {"tripId": "{{ t }}", "x": 1}}, " x "),
        ({"body": {"CarrierId": "{{ c }}"}}, "DispatcherId"),
        (
            {"body": {"CarrierId": "{{ c }}", "DispatcherId": "D", "Truck": "{{ x }}"}},
            "Truck .*TruckId",
        ),
        (
            {"body": {"CarrierId": "{{ c }}", "DispatcherId": "D", "CarrierRate": "much"}},
            "CarrierRate='much'",
        ),
        ({"body": {"CarrierId": "{{ c }}", "DispatcherId": "D", "Driver2Id": "E"}}, "Driver1Id"),
        ({"body": ["x"]}, "body="),
        ({"if_match": '"v1"'}, "if_match="),
        (
            {
                "operation": "carriers.set_status",
                "path_params": {"carrierId": "{{ c }}"},
                "body": {"Status": "Aktive"},
            },
            r"Did you mean Active\?",
        ),
        (
            {"operation": "loads.update", "path_params": "{{ p }}", "body": "{{ b }}", "if_match": None},
            "if_match=None",
        ),
    ],
    ids=[
        "operation",
        "param",
        "unknown param",
        "field",
        "unknown field",
        "type",
        "rule",
        "dict",
        "etag",
        "enum",
        "no etag",
    ],
)
def test_untemplated_arguments_are_checked_while_the_dag_is_parsed(
    arguments: dict[str, Any], message: str
) -> None:
    valid = {"operation": "trips.assign", "path_params": {"tripId": "{{ t }}"}, "body": "{{ b }}"}
    with pytest.raises(AlvysValueError, match=message):
        task(**{**valid, **arguments})


@pytest.mark.every_airflow
def test_templated_arguments_are_checked_before_anything_is_sent(alvys: Simulator, hook: QuickHook) -> None:
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
    with pytest.raises(AlvysValueError, match="DispatcherId"):
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


def test_alvys_accepts_the_payment_of_the_page_on_writing(alvys: Simulator, hook: QuickHook) -> None:
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
def test_a_stale_etag_fails_the_task(alvys: Simulator, hook: QuickHook) -> None:
    request = plain(request_to(alvys, "loads.update"))
    with pytest.raises(
        AlvysPreconditionError if HAS_RETRY_POLICY else AirflowFailException,
        match='"old"',
    ):
        task(hook, operation="loads.update", if_match='"old"', **request).execute({})


@pytest.mark.every_airflow
@pytest.mark.parametrize("name", ["webhooks.create", "webhooks.rotate_secret"])
def test_a_secret_is_masked_and_left_out(
    name: str, alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch, read_log: ReadLog
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
    text = read_log()
    assert secret not in json.dumps(answer) + text
    assert "Secret" in text


def test_a_secret_is_left_out_in_any_case_and_at_any_depth(
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


def test_a_response_that_may_be_a_secret_is_left_out(
    alvys: Simulator, hook: QuickHook, monkeypatch: Any
) -> None:
    request = plain(request_of("webhooks.rotate_secret"))
    monkeypatch.setattr(hook, "send", lambda write: "s3cret")
    assert task(hook, operation="webhooks.rotate_secret", **request).execute({}) is None


# --- lost responses and workers that die


@pytest.mark.every_airflow
def test_a_lost_response_fails_the_task_without_retries(alvys: Simulator, hook: QuickHook) -> None:
    operator, store = call(alvys, hook), Store()
    alvys.order_faults({"kind": "lost", "endpoint": CHECK_CALL})
    with pytest.raises(UNKNOWN) as caught:
        operator.execute({"task_state_store": store})  # type: ignore[arg-type]
    assert "check calls" in outcome(caught).check
    assert outcome(caught).check in str(caught.value)
    assert store == {}
    assert alvys.effects() == {"trip_check_calls.create": 1}


@pytest.mark.every_airflow
def test_a_custom_retry_policy_does_not_send_the_write_twice(alvys: Simulator, hook: QuickHook) -> None:
    operator = call(alvys, hook)
    operator.retry_policy = None
    alvys.order_faults({"kind": "lost", "endpoint": CHECK_CALL})
    with pytest.raises(AirflowFailException) as caught:
        operator.execute({})
    assert not outcome(caught).may_repeat


class Killed(BaseException):
    """The worker dies."""


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
    with pytest.raises(UNKNOWN) as caught:
        operator.execute({"task_state_store": store})  # type: ignore[arg-type]
    assert (outcome(caught).endpoint, outcome(caught).status_code) == (CHECK_CALL, None)
    assert outcome(caught).check in str(caught.value)
    assert alvys.effects() == {"trip_check_calls.create": 1}
    operator.execute({"task_state_store": store})  # type: ignore[arg-type]
    assert alvys.effects() == {"trip_check_calls.create": 2}
    assert store == {}


@pytest.mark.every_airflow
def test_a_journal_entry_of_another_write_does_not_stop_this_one(
    alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    die_while_sending(call(alvys, hook), store, monkeypatch)
    call(alvys, hook, body={"Description": "another one"}).execute({"task_state_store": store})  # type: ignore[arg-type]
    assert alvys.effects() == {"trip_check_calls.create": 2}
    assert store == {}


def attempt(store: Store, tries: int) -> Any:
    """Return the context of an attempt. Retries have the same ``max_tries``, and a clear raises it."""
    return {"task_state_store": store, "ti": SimpleNamespace(max_tries=tries)}


@pytest.mark.every_airflow
def test_a_retry_does_not_send_again_even_if_its_templates_render_differently(
    alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    die_while_sending(call(alvys, hook, body={"Description": "try 1"}), store, monkeypatch, attempt(store, 2))
    retry = call(alvys, hook, body={"Description": "try 2"})
    for _ in range(2):
        with pytest.raises(UNKNOWN):
            retry.execute(attempt(store, 2))
    assert alvys.effects() == {"trip_check_calls.create": 1}
    retry.execute(attempt(store, 5))
    assert alvys.effects() == {"trip_check_calls.create": 2}


@pytest.mark.every_airflow
def test_a_retry_after_the_response_returns_it_and_a_clear_sends_again(
    alvys: Simulator, hook: QuickHook
) -> None:
    operator, store = call(alvys, hook), Store()
    answer = operator.execute(attempt(store, 2))
    # The worker dies here, before Airflow stores the result.
    assert answer["Id"]
    assert operator.execute(attempt(store, 2)) == answer
    assert alvys.effects() == {"trip_check_calls.create": 1}
    assert operator.execute(attempt(store, 3))["Id"] != answer["Id"]
    assert alvys.effects() == {"trip_check_calls.create": 2}


@pytest.mark.every_airflow
def test_a_retry_after_an_unknown_outcome_does_not_send_and_a_clear_does(
    alvys: Simulator, hook: QuickHook
) -> None:
    operator, store = call(alvys, hook), Store()
    alvys.order_faults({"kind": "lost", "endpoint": CHECK_CALL})
    for _ in range(3):
        with pytest.raises(UNKNOWN):
            operator.execute(attempt(store, 2))
    assert alvys.effects() == {"trip_check_calls.create": 1}
    operator.execute(attempt(store, 3))
    assert alvys.effects() == {"trip_check_calls.create": 2}


@pytest.mark.every_airflow
def test_a_retry_may_send_a_write_that_was_refused(alvys: Simulator, hook: QuickHook) -> None:
    store, params = Store(), request_to(alvys, "trip_check_calls.create")["path_params"]
    with pytest.raises(Exception, match="404"):
        call(alvys, hook, path_params={"tripId": "nobody"}).execute(attempt(store, 2))
    call(alvys, hook, path_params=params).execute(attempt(store, 2))
    assert alvys.effects() == {"trip_check_calls.create": 1}


def time_out(hook: QuickHook, monkeypatch: pytest.MonkeyPatch) -> None:
    client = hook.get_conn()
    call = client.call

    def call_late(*args: Any, **options: Any) -> Any:
        call(*args, **options)
        raise AirflowTaskTimeout

    monkeypatch.setattr(client, "call", call_late)


@pytest.mark.every_airflow
@pytest.mark.parametrize("stored", [True, False])
def test_an_unsafe_write_that_times_out_fails_without_retries(
    stored: bool, alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, store = call(alvys, hook), Store()
    time_out(hook, monkeypatch)
    with pytest.raises(AirflowFailException, match="check calls"):
        operator.execute(attempt(store, 2) if stored else {})
    monkeypatch.undo()
    if stored:
        with pytest.raises(UNKNOWN):
            operator.execute(attempt(store, 2))
    assert alvys.effects() == {"trip_check_calls.create": 1}


@pytest.mark.every_airflow
def test_a_safe_write_that_times_out_may_be_retried(
    alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "trip_stops.set_arrival"
    operator = task(hook, operation=name, **plain(request_to(alvys, name)))
    time_out(hook, monkeypatch)
    with pytest.raises(AirflowTaskTimeout):
        operator.execute({})


@pytest.mark.every_airflow
def test_a_write_that_certainly_failed_leaves_no_journal_entry(
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


def test_a_safe_write_has_no_journal_entry(
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
def test_a_delete_succeeds_if_an_earlier_attempt_has_deleted_the_record(
    name: str, alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, request = Store(), plain(request_to(alvys, name))
    operator = task(hook, operation=name, **request)
    die_while_sending(operator, store, monkeypatch, context=attempt(store, 2))
    assert operator.execute(attempt(store, 2)) is None
    assert alvys.effects() == {name: 1}
    # After a clear, and for another record, a 404 stays an error.
    with pytest.raises((AlvysNotFoundError, AirflowFailException), match="404"):
        operator.execute(attempt(store, 4))
    nobody = dict.fromkeys(request["path_params"], "nobody")
    store.set("alvys_sending", {"state": "sending", "what": "another write", "tries": 2})
    with pytest.raises((AlvysNotFoundError, AirflowFailException), match="404"):
        task(hook, operation=name, path_params=nobody).execute(attempt(store, 2))
    assert store == {}


@pytest.mark.every_airflow
def test_an_unsafe_hook_write_that_times_out_fails_without_retries(
    alvys: Simulator, hook: QuickHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_out(hook, monkeypatch)
    with pytest.raises(AirflowFailException, match="trip_check_calls.create"):
        hook.write("trip_check_calls.create", **plain(request_to(alvys, "trip_check_calls.create")))
    name = "trip_stops.set_arrival"
    with pytest.raises(AirflowTaskTimeout):
        hook.write(name, **plain(request_to(alvys, name)))


@pytest.mark.every_airflow
def test_a_missing_state_store_is_logged_once(alvys: Simulator, hook: QuickHook, read_log: ReadLog) -> None:
    call(alvys, hook).execute({})
    assert read_log().count("is unsafe to retry") == 1
    call(alvys, hook).execute({"task_state_store": Store()})  # type: ignore[arg-type]
    assert "is unsafe to retry" not in read_log()


@pytest.mark.every_airflow
def test_writes_can_be_mapped() -> None:
    with DAG("d", schedule=None) as dag:
        AlvysWriteOperator.partial(task_id="write", operation="load_notes.delete").expand(
            path_params=[{"loadNumber": "1", "noteId": str(number)} for number in range(3)]
        )
    assert dag.get_task("write").partial_kwargs["operation"] == "load_notes.delete"


@pytest.mark.every_airflow
@pytest.mark.parametrize("changed", [{}, {"ReferenceNumber": "another"}])
def test_only_the_write_that_was_approved_is_sent(
    alvys: Simulator, hook: QuickHook, changed: dict[str, str]
) -> None:
    request = plain(request_to(alvys, "invoices.record_carrier_payment"))
    approved = hook.check_write("invoices.record_carrier_payment", **request).fingerprint
    assert alvys.effects() == {}
    request["body"] = {**request["body"], **changed}
    operator = task(hook, operation="invoices.record_carrier_payment", approved=approved, **request)
    if changed:
        with pytest.raises(AirflowFailException):
            operator.execute({})
    else:
        operator.execute({})
    assert alvys.effects() == ({} if changed else {"invoices.record_carrier_payment": 1})

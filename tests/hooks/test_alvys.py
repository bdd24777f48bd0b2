from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk._shared.secrets_masker import _secrets_masker

from airflow_provider_alvys import connection_form
from airflow_provider_alvys._compat import AirflowFailException
from airflow_provider_alvys.api.catalogue.operations import OPERATIONS
from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.api.errors import AlvysUnknownOutcomeError, AlvysValueError
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.write.upload import file_source
from airflow_provider_alvys.connection_form import FormField
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import CONNECTION, QuickHook
from tests.writes import request_to


def set_connection(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    fields = {"conn_type": "alvys", "login": "id", "password": "a-secret", **fields}
    monkeypatch.setenv(CONNECTION, json.dumps(fields))


@pytest.mark.every_airflow
def test_a_hook_returns_a_client_and_calls_any_endpoint(alvys: Simulator) -> None:
    hook = AlvysHook()
    assert isinstance(hook.get_conn(), AlvysClient)
    assert hook.get_conn() is hook.get_conn()
    assert hook.request("GET", "/v1/me").json()["Tenant"] == "acme"
    body = {"Page": 0, "PageSize": 2, "Status": ["Open"], "IncludeDeleted": True}
    assert len(hook.request("POST", "loads/search", json=body).json()["Items"]) == 2


def test_creating_a_hook_does_not_read_the_connection() -> None:
    assert AlvysHook("there_is_no_such_connection").alvys_conn_id == "there_is_no_such_connection"
    assert AlvysHook().alvys_conn_id == "alvys_default"


@pytest.mark.every_airflow
def test_a_search_yields_decoded_rows_with_decimals(alvys: Simulator) -> None:
    rows = list(AlvysHook().search("loads", {"Status": ["Completed"]}, since="2020-01-01T00:00:00Z"))
    assert rows
    assert all(row["Status"] == "Completed" for row in rows)
    assert isinstance(rows[0]["Linehaul"]["Amount"], Decimal)
    truth = {json.loads(row)["Id"]: row for row in alvys.truth_rows(filters='{"Status":["Completed"]}')}
    assert {row["Id"] for row in rows} == set(truth)
    assert str(rows[0]["Linehaul"]["Amount"]).encode() in truth[rows[0]["Id"]]


def test_the_arguments_of_a_search_are_checked_by_the_call(alvys: Simulator) -> None:
    hook = AlvysHook()
    for arguments in (
        {"filters": {"Statuses": ["Open"]}},
        {"since": "2026-01-01T00:00:00"},
        {"parents": ["1"]},
        {"parents": []},
        {"window_by": "updated"},
    ):
        with pytest.raises(AlvysValueError):
            hook.search("loads", **arguments)  # type: ignore[arg-type]
        with pytest.raises(AlvysValueError):
            hook.count("loads", **arguments)  # type: ignore[arg-type]
    with pytest.raises(AlvysValueError, match="lodes"):
        hook.search("lodes")
    assert alvys.stats()["requests"] == {}


def test_a_count_costs_one_request(alvys: Simulator) -> None:
    hook = AlvysHook()
    assert hook.count("loads") == 450
    assert hook.count("loads", {"Status": ["Open"]}) == len(alvys.truth_keys(filters='{"Status":["Open"]}'))
    assert alvys.stats()["requests"]["POST loads/search"] == 2


def test_a_search_of_moving_rows_logs_a_warning(alvys: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    alvys.order_mutations({"kind": "join"})
    assert len(list(AlvysHook().search("loads"))) >= 450
    assert ("loads",) in [record.args for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.every_airflow
def test_the_token_is_masked(alvys: Simulator) -> None:
    AlvysHook().count("loads")
    (token,) = alvys.tokens()
    assert _secrets_masker().redact(f"Authorization: Bearer {token}") == "Authorization: Bearer ***"


def test_hooks_of_one_process_share_a_token(alvys: Simulator) -> None:
    for _ in range(3):
        AlvysHook().count("loads")
    assert alvys.stats()["tokens"] == 1


def test_an_empty_connection_uses_the_documented_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    # The form stores untouched fields as null.
    set_connection(
        monkeypatch, host="", extra={"auth_url": None, "audience": "", "timeout": None, "allow_http": None}
    )
    settings = AlvysHook().settings
    assert settings.host == "https://integrations.alvys.com"
    assert settings.credentials.auth_url == "https://auth.alvys.com/oauth/token"
    assert settings.credentials.audience == "https://api.alvys.com/public/"
    assert settings.timeout == (10, 60)
    assert (settings.requests_per_minute, settings.page_size, settings.api_version) == (None, None, None)


def test_every_field_of_the_connection_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {
        "auth_url": "https://qaauth.alvys.net/oauth/token",
        "audience": "https://other/",
        "api_version": "1.0",
        "requests_per_minute": "30",
        "page_size": 100,
        "timeout": "12.5",
        "allow_http": True,
    }
    set_connection(monkeypatch, host="http://qaapi.internal", port=8080, extra=extra)
    settings = AlvysHook().settings
    assert settings.host == "http://qaapi.internal:8080"
    assert settings.credentials.auth_url == "https://qaauth.alvys.net/oauth/token"
    assert settings.credentials.audience == "https://other/"
    assert (settings.api_version, settings.requests_per_minute, settings.page_size) == ("1.0", 30, 100)
    assert settings.timeout == (10, 12.5)
    for host, port, expected in (
        ("http://127.0.0.1:8099", 443, "http://127.0.0.1:8099"),
        ("https://gateway.example/alvys", 8443, "https://gateway.example:8443/alvys"),
        ("", 443, "https://integrations.alvys.com:443"),
    ):
        set_connection(monkeypatch, host=host, port=port)
        assert AlvysHook().settings.host == expected
    set_connection(monkeypatch, host="integrations.alvys.com/", extra={"tenant_id": "acme"})
    settings = AlvysHook().settings
    assert settings.credentials.auth_url == "https://integrations.alvys.com/api/authentication/acme/token"
    assert settings.credentials.is_tenant_flow


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"login": None}, "login and password"),
        ({"password": ""}, "login and password"),
        ({"host": "http://alvys.example.com"}, "clear text"),
        ({"extra": [1, 2]}, "extra of the connection"),
        ({"extra": "{not json"}, "extra of the connection"),
        ({"extra": {"timeout": "soon"}}, "timeout of the connection is 'soon'"),
        ({"extra": {"timeout": 0}}, "timeout"),
        ({"extra": {"page_size": -1}}, "page_size of the connection is -1"),
        ({"extra": {"allow_http": "maybe"}}, "allow_http"),
        ({"extra": {"auth_url": "http://auth.example.com"}}, "auth_url.*clear text"),
    ],
)
def test_a_wrong_connection_is_an_error_that_names_the_field(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], message: str
) -> None:
    set_connection(monkeypatch, **fields)
    with pytest.raises(AlvysValueError, match=message):
        AlvysHook().get_conn()
    worked, sentence = AlvysHook().test_connection()
    assert not worked
    assert "a-secret" not in sentence


HOSTS = [
    ("https://integrations.alvys.com", "https://integrations.alvys.com"),
    (" integrations.alvys.com/\n", "https://integrations.alvys.com"),
    ("\ufeffHTTPS://Integrations.Alvys.com//", "https://Integrations.Alvys.com"),
    ("//integrations.alvys.com", "https://integrations.alvys.com"),
    ("https://integrations.alvys.com/api", "https://integrations.alvys.com"),
    ("https://integrations.alvys.com/API/p/", "https://integrations.alvys.com"),
    ("integrations.alvys.com/api/p/v1.0/", "https://integrations.alvys.com"),
    ("https://proxy.example/alvys/", "https://proxy.example/alvys"),
    ("https://proxy.example/alvys/api/p/v1", "https://proxy.example/alvys"),
    ("http://[::1]:8080", "http://[::1]:8080"),
    ("HTTP://[::1]:8080/", "http://[::1]:8080"),
    ("[2001:db8::1]:8080", "https://[2001:db8::1]:8080"),
    ("2001:db8::1", "https://[2001:db8::1]"),
    ("https://[2001:DB8::1]/alvys", "https://[2001:DB8::1]/alvys"),
    ("", "https://integrations.alvys.com"),
    (" ", "https://integrations.alvys.com"),
]


@pytest.mark.parametrize(("given", "host"), HOSTS)
def test_a_host_may_be_written_in_many_ways(monkeypatch: pytest.MonkeyPatch, given: str, host: str) -> None:
    set_connection(monkeypatch, host=given)
    assert AlvysHook().settings.host == AlvysHook().get_conn().host == host


@pytest.mark.parametrize(
    ("host", "with_port"),
    [
        ("2001:db8::1", "https://[2001:db8::1]:8443"),
        ("[2001:db8::1]", "https://[2001:db8::1]:8443"),
        ("https://proxy.example/alvys/", "https://proxy.example:8443/alvys"),
        ("https://proxy.example:9/alvys", "https://proxy.example:9/alvys"),
    ],
)
def test_the_port_of_a_connection_is_added_to_its_host(
    monkeypatch: pytest.MonkeyPatch, host: str, with_port: str
) -> None:
    set_connection(monkeypatch, host=host, port=8443)
    assert AlvysHook().settings.host == with_port


def test_a_path_of_the_host_is_part_of_every_address(
    alvys: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_connection(monkeypatch, host="http://127.0.0.1:9/alvys/")
    client = AlvysHook().get_conn()
    for path in ("loads/search", "/api/p/v2.0/loads/search", f"{client.host}/api/p/v2.0/loads/search"):
        assert client._prepare("POST", path).url == "http://127.0.0.1:9/alvys/api/p/v2.0/loads/search"


@pytest.mark.parametrize("edge", ["\n", " \t", "\ufeff", "\r\n"])
def test_white_space_around_a_field_is_ignored_and_the_test_button_says_so(
    alvys: Simulator, monkeypatch: pytest.MonkeyPatch, edge: str
) -> None:
    fields = json.loads(alvys.connection_json(requests_per_minute=0))
    fields["login"] += edge
    fields["password"] = edge + fields["password"] + edge
    fields["extra"] = f"{edge}{json.dumps(fields['extra'])}{edge}"
    monkeypatch.setenv(CONNECTION, json.dumps(fields))
    worked, sentence = AlvysHook().test_connection()
    assert worked
    assert all(f"at an end of {label}" in sentence for label in ("Client id", "Client secret"))
    assert alvys.options.client_secret not in sentence
    # Airflow knows only the password with its white space.
    assert "***" in _secrets_masker().redact(f"the secret {alvys.options.client_secret}")


@pytest.mark.every_airflow
def test_the_test_button_reports_what_worked(alvys: Simulator) -> None:
    assert AlvysHook().test_connection() == (
        True,
        f"Alvys issued a token and answered at {alvys.url}: 450 loads. The token has the scopes of all "
        "streams that syncs read by default.",
    )
    assert alvys.stats()["requests"] == {"POST token": 1, "POST loads/search": 1}


def test_the_test_button_names_the_scopes_that_are_there_and_those_that_are_missing(alvys: Simulator) -> None:
    needed = {row.scope for row in STREAMS.values() if row.tiers and row.scope and row.scope_is_documented}
    for lacking in sorted(needed):
        alvys.reset(loads=3, fleet=3, scopes=" ".join(sorted({*needed, "load:create"} - {lacking})))
        worked, sentence = AlvysHook().test_connection()
        assert worked
        has, lacks = sentence.split(" It has ")[1], sentence.split(" It has ")[0]
        assert lacking in lacks
        assert all(
            row.name in lacks
            for row in STREAMS.values()
            if row.scope == lacking and row.scope_is_documented and row.tiers
        )
        assert lacking not in has
        assert all(scope in has and scope not in lacks for scope in {*needed, "load:create"} - {lacking})
        assert sum(alvys.stats()["requests"].values()) == 2


def test_the_test_button_says_that_scopes_are_not_known(
    alvys: Simulator, connect: Callable[..., None]
) -> None:
    connect(tenant_id="acme", auth_url=None)
    worked, sentence = AlvysHook().test_connection()
    assert worked
    assert "python -m airflow_provider_alvys plan" in sentence


@pytest.mark.parametrize("field", connection_form.FIELDS, ids=lambda field: field.name)
def test_an_unknown_field_of_extra_is_ignored_with_a_suggestion(
    alvys: Simulator, connect: Callable[..., None], caplog: pytest.LogCaptureFixture, field: FormField
) -> None:
    connect(**{f"{field.name}s": "1"})
    worked, sentence = AlvysHook().test_connection()
    assert worked
    assert f"Did you mean {field.name}?" in sentence
    assert f"Did you mean {field.name}?" in caplog.text
    assert "alvys_default" in caplog.text


def test_the_test_button_reads_a_stream_that_the_token_may_read(
    alvys: Simulator, connect: Callable[..., None]
) -> None:
    alvys.reset(loads=1, fleet=3, scopes="customer:read")
    worked, sentence = AlvysHook().test_connection()
    assert worked
    assert f"answered at {alvys.url}: 3 customers." in sentence
    alvys.reset(loads=1, scopes="load:create webhook:read")
    worked, sentence = AlvysHook().test_connection()
    assert not worked
    assert all(f"{scope} (" in sentence for scope in ("load:read", "carrier:read", "customer:read"))
    assert "load:create, webhook:read" in sentence
    # A new token has the scopes that were granted since the last test.
    alvys.reset(loads=1)
    assert AlvysHook().test_connection()[0]
    connect(tenant_id="acme", auth_url=None)
    assert AlvysHook().test_connection()[0]


def test_the_test_button_never_waits(alvys: Simulator, connect: Callable[..., None]) -> None:
    connect(requests_per_minute=None)
    assert all(AlvysHook().test_connection()[0] for _ in range(12))
    alvys.order_faults(
        {"kind": "status", "status": 429, "retry_after": "60", "endpoint": "POST loads/search"}
    )
    worked, sentence = AlvysHook().test_connection()
    assert not worked
    assert "a token, but: POST loads/search" in sentence
    assert "60 s" in sentence


@pytest.mark.parametrize(
    ("extra", "fault", "message"),
    [
        pytest.param(
            {"auth_url": "http://127.0.0.1:1/oauth/token"},
            None,
            "no answer from http://127.0.0.1:1",
            id="refused",
        ),
        pytest.param({"tenant_id": "wrong", "auth_url": ""}, None, "Check the tenant id", id="wrong tenant"),
        pytest.param({"audience": "x"}, None, "Check the client id .*audience", id="wrong audience"),
        pytest.param(
            {},
            {"kind": "status", "status": 403},
            "a token, but: .*load:read",
            id="403",
        ),
        pytest.param({}, {"kind": "html"}, "text/html, not JSON", id="a page of HTML"),
    ],
)
def test_the_test_button_reports_what_to_change(
    alvys: Simulator,
    connect: Callable[..., None],
    extra: dict[str, Any],
    fault: dict[str, Any] | None,
    message: str,
) -> None:
    connect(**extra)
    if fault:
        alvys.order_faults(fault)
    worked, sentence = AlvysHook().test_connection()
    assert not worked
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(sentence)
    assert "simulator-secret" not in sentence


def test_the_test_button_never_raises() -> None:
    worked, sentence = AlvysHook("there_is_no_such_connection").test_connection()
    assert not worked
    assert "there_is_no_such_connection" in sentence


@pytest.mark.every_airflow
def test_a_hook_writes_like_an_operator(alvys: Simulator, tmp_path: Path) -> None:
    hook = AlvysHook()
    number = json.loads(alvys.truth_rows()[0])["LoadNumber"]
    alvys.change(keys=[number], columns={"LoadType": "Standard"})
    answer = hook.write("loads.update", path_params={"load_number": number}, body={"OrderNumber": "PO 4711"})
    assert answer["OrderNumber"] == "PO 4711"
    assert isinstance(answer["Linehaul"]["Amount"], Decimal)
    (tmp_path / "pod.pdf").write_bytes(b"%PDF")
    upload = {"path_params": {"loadNumber": number}, "body": {"DocumentType": "Proof of Delivery"}}
    for file in (tmp_path / "pod.pdf", str(tmp_path / "pod.pdf"), file_source(tmp_path / "pod.pdf")):
        assert hook.write("load_documents.upload", file=file, **upload)["AttachmentSize"] == 4
    assert alvys.effects() == {"loads.update": 1, "load_documents.upload": 3}
    with pytest.raises(AlvysValueError, match="loads.update"):
        hook.write("load.update")


@pytest.mark.every_airflow
def test_an_unknown_outcome_is_not_retried_in_any_task(alvys: Simulator, hook: QuickHook) -> None:
    alvys.reset(loads=40, fleet=10)
    for name, is_final in {"trip_check_calls.create": True, "trip_stops.set_arrival": False}.items():
        request = request_to(alvys, name)
        alvys.order_faults({"kind": "lost", "endpoint": str(OPERATIONS[name].endpoint), "times": 6})
        with pytest.raises(AlvysUnknownOutcomeError, match=name) as caught:
            hook.write(name, **request)
        assert isinstance(caught.value, AirflowFailException) == is_final
        assert caught.value.check in str(caught.value)
        assert (caught.value.may_repeat, caught.value.endpoint) == (
            not is_final,
            str(OPERATIONS[name].endpoint),
        )

"""No file, table, XCom or log contains a secret of a row or of a setting."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk._shared.secrets_masker import _secrets_masker

from airflow_provider_alvys import (
    AlvysDocumentSensor,
    AlvysHook,
    AlvysObjectStorageToSqlOperator,
    AlvysRequestOperator,
    AlvysSearchOperator,
    AlvysUploadDocumentOperator,
    AlvysWriteOperator,
    alvys_asset,
    alvys_documents_asset,
)
from airflow_provider_alvys.api.catalogue.operations import OPERATIONS
from airflow_provider_alvys.api.catalogue.streams import SECRET_FIELDS, STREAMS, Stream
from airflow_provider_alvys.api.errors import AlvysError, AlvysStorageError, AlvysValueError
from airflow_provider_alvys.api.http.auth import make_credentials
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.api.web import check_url_template
from airflow_provider_alvys.landing.dataset.store import Store, check_path
from airflow_provider_alvys.landing.formats.part_writer import PartWriter
from airflow_provider_alvys.landing.formats.registry import read_rows
from airflow_provider_alvys.landing.jobs.parents import RecentParents, check_parents
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.tables.flatten import RowFlattener
from airflow_provider_alvys.tables.schema import build_schema
from tests.conftest import CONNECTION, Land, QuickHook
from tests.lake import read_lines

SECRET = "whsec-0123456789abcdef"
WITH_SECRETS = pytest.mark.parametrize(
    "stream",
    [stream for stream in STREAMS.values() if stream.secret_fields],
    ids=lambda stream: stream.name,
)


def hidden_rows(stream: Stream) -> list[bytes]:
    """Return rows of a stream with its secrets in any case and at any depth."""
    key = dict.fromkeys(stream.key, "1")
    rows = []
    for name in stream.secret_fields:
        for spelling in (name, name.upper(), name.capitalize(), name.swapcase()):
            rows += [
                {**key, spelling: SECRET},
                {**key, spelling: {"Value": SECRET}},
                {**key, "Other": {spelling: [SECRET], "Kept": 1.50}},
                {**key, "Events": [{"Deep": [{spelling: SECRET}]}], "Name": "n"},
            ]
    escaped = [json.dumps(row).replace('"secret"', '"\\u0073ecret"').encode() for row in rows]
    twice = b'{"Id": "1", "Other": {"Secret": "%b"}, "Other": 1}' % SECRET.encode()
    return [*(json.dumps(row).encode() for row in rows), *escaped, twice]


def test_the_secret_of_a_webhook_is_known() -> None:
    assert "secret" in SECRET_FIELDS
    assert {"secret"} == STREAMS["webhooks"].secret_fields


@WITH_SECRETS
@pytest.mark.parametrize(
    ("file_format", "compression"), [("jsonl", None), ("jsonl", "gzip"), ("parquet", None)]
)
def test_no_part_contains_a_secret(stream: Stream, file_format: str, compression: str | None) -> None:
    if file_format == "parquet":
        pytest.importorskip("pyarrow")
    files: dict[str, bytes] = {}
    writer = PartWriter(
        files.__setitem__, stream=stream, file_format=file_format, compression=compression, part_rows=10_000
    )
    rows = hidden_rows(stream)
    writer.add(list(rows))
    writer.finish()
    (content,) = files.values()
    assert SECRET.encode() not in content
    landed = list(read_rows(content, stream, file_format, compression))
    assert SECRET not in str(landed)
    assert len(landed) == len(rows)
    assert any(decode_row(row).get("Other") == {"Kept": decode_row(b"1.50")} for row in landed)


@WITH_SECRETS
def test_a_row_whose_secrets_cannot_be_removed_is_not_written(stream: Stream) -> None:
    files: dict[str, bytes] = {}
    writer = PartWriter(
        files.__setitem__, stream=stream, file_format="jsonl", compression=None, part_rows=10_000
    )
    with pytest.raises(AlvysStorageError) as caught:
        writer.add([b'{"Id": "1", "Secret": "%b"' % SECRET.encode()])
    assert SECRET not in str(caught.value)
    assert files == {}


@WITH_SECRETS
def test_no_table_contains_a_secret_of_an_older_file(stream: Stream) -> None:
    flattener = RowFlattener(build_schema(stream))
    tables = [flattener.flatten(row, "a row") for row in hidden_rows(stream)]
    assert SECRET not in str(tables)


@pytest.fixture
def webhook(alvys: Simulator) -> str:
    """A webhook whose row has its secret, in two more places."""
    (key,) = alvys.change(
        stream="webhooks",
        rows=1,
        columns={"Secret": SECRET, "SECRET": SECRET, "Owner": {"secret": SECRET, "Name": "n"}},
    )
    return str(key)


def test_landed_files_and_tables_contain_no_secret(
    alvys: Simulator, webhook: str, land: Land, lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("airflow.providers.sqlite")
    assert any(SECRET.encode() in row for row in alvys.truth_rows(stream="webhooks"))
    result = land(stream="webhooks", initial_since=None)
    lines = read_lines(result["manifest"])
    assert {json.loads(line)["Id"] for line in lines} == set(alvys.truth_keys(stream="webhooks"))
    database = tmp_path / "sql.sqlite"
    monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps({"conn_type": "sqlite", "host": str(database)}))
    AlvysObjectStorageToSqlOperator(
        task_id="load", sql_conn_id="sql", path=str(lake), stream="webhooks"
    ).execute({})
    with sqlite3.connect(database) as connection:
        tables = "\n".join(connection.iterdump())
    for secret in (row.get("Secret") for row in map(json.loads, alvys.truth_rows(stream="webhooks"))):
        assert secret
        assert secret not in tables
        assert not any(secret.encode() in file.read_bytes() for file in lake.rglob("*") if file.is_file())


@pytest.mark.parametrize("operator", ["search", "request a list", "request one"])
def test_no_operator_returns_the_secret_of_a_webhook(
    alvys: Simulator, webhook: str, operator: str, caplog: pytest.LogCaptureFixture
) -> None:
    made: Any = {
        "search": AlvysSearchOperator(task_id="t", stream="webhooks"),
        "request a list": AlvysRequestOperator(task_id="t", path="/api/p/v1.0/Webhooks"),
        "request one": AlvysRequestOperator(task_id="t", path=f"webhooks/{webhook}"),
    }[operator]
    with caplog.at_level("DEBUG"):
        result = json.dumps(made.execute({}))
    assert webhook in result
    assert SECRET not in result + caplog.text
    if operator == "request a list":
        assert _secrets_masker().redact(SECRET) == "***"


@pytest.mark.parametrize(
    "answer", [{"Secret": SECRET}, SECRET, [SECRET], {"data": {"SECRET": SECRET, "a": 1}}]
)
@pytest.mark.parametrize("is_text", [False, True])
@pytest.mark.parametrize(
    "path", ["webhooks/W1/reveal-secret", "/api/p/v1.0/webhooks/W1/Rotate-Secret/", "webhooks"]
)
def test_a_revealed_secret_reaches_no_xcom(
    alvys: Simulator, monkeypatch: pytest.MonkeyPatch, path: str, is_text: bool, answer: Any
) -> None:
    if path == "webhooks" and not isinstance(answer, dict):
        pytest.skip("the response is no secret")

    class Response:
        status_code = 200
        headers = {"content-type": "text/plain" if is_text else "application/json"}  # noqa: RUF012
        text = answer if isinstance(answer, str) else json.dumps(answer)
        content = text.encode() if is_text else json.dumps(answer).encode()

    operator = AlvysRequestOperator(task_id="t", method="POST", path=path)
    monkeypatch.setattr(AlvysHook, "request", lambda *args, **kwargs: Response())
    assert SECRET not in json.dumps(operator.execute({}))


@pytest.mark.parametrize(
    "operation", [row for row in OPERATIONS.values() if row.secrets], ids=lambda row: row.name
)
def test_no_write_returns_a_secret(operation: Any, alvys: Simulator, hook: QuickHook) -> None:
    operator = AlvysWriteOperator.__new__(AlvysWriteOperator)
    for name in operation.secrets:
        for spelling in (name, name.lower(), name.upper()):
            answer = {"Id": "1", spelling: SECRET, "All": [{"Deep": {spelling: SECRET}}]}
            write = type("Write", (), {"operation": operation})()
            result = operator._result(write, answer)
            assert result == {"Id": "1", "All": [{"Deep": {}}]}


def test_a_sensor_returns_no_download_address_in_any_spelling(alvys: Simulator) -> None:
    number = alvys.truth_keys()[0]
    load = next(row for row in map(json.loads, alvys.truth_rows()) if row["Id"] == number)
    address = f"https://storage.example.com/{SECRET}"
    alvys.add(
        stream="load_documents",
        parent=load["LoadNumber"],
        columns={
            "AttachmentType": "Proof of Pickup",
            "downloadurl": address,
            "File": {"DOWNLOADURL": address, "Links": [{"DownloadUrl": address}]},
        },
    )
    sensor = AlvysDocumentSensor(
        task_id="t", parent_id=load["LoadNumber"], document_types="Proof of Pickup", deferrable=False
    )
    found = json.dumps(sensor.execute({}))
    assert "Proof of Pickup" in found
    assert SECRET not in found


# Every setting that is an address, and what else is checked as one.
def _connect(**fields: Any) -> str:
    return json.dumps({"conn_type": "alvys", "login": "id", "password": "client-secret", **fields})


PASSWORD = "hunter2-of-the-user"
ADDRESSES = [
    f"https://user:{PASSWORD}@alvys.example.com",
    f"http://user:{PASSWORD}@alvys.example.com",
    f"ftp://user:{PASSWORD}@alvys.example.com",
    f"user:{PASSWORD}@alvys.example.com",
    f"https://{PASSWORD}@alvys.example.com",
    f"https://user:{PASSWORD}@[bad",
    f"https://user:{PASSWORD}%40alvys.example.com",
    f"https:/user:{PASSWORD}@alvys.example.com",
    f"https://user:{PASSWORD}/@alvys.example.com:99999",
    f"https://alvys.example.com:{PASSWORD}",
    f"//user:{PASSWORD}@alvys.example.com",
]
QUERIES = [
    f"https://alvys.example.com?token={PASSWORD}",
    f"https://alvys.example.com/#{PASSWORD}",
    f"https://alvys.example.com/?{PASSWORD}",
]


@pytest.mark.parametrize("address", [*ADDRESSES, *QUERIES])
@pytest.mark.parametrize("setting", ["host", "auth_url", "web_url"])
def test_a_password_in_an_address_is_refused_and_not_quoted(
    setting: str, address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if setting == "web_url" and address in QUERIES:
        pytest.skip("a link may have a query")
    fields = {"host": address} if setting == "host" else {"extra": {setting: address}}
    monkeypatch.setenv(CONNECTION, _connect(**fields))
    with caplog.at_level("DEBUG"):
        works, sentence = AlvysHook().test_connection()
        with pytest.raises(AlvysValueError, match=setting) as caught:
            AlvysHook().get_conn()
    assert not works
    assert PASSWORD not in sentence + str(caught.value) + caplog.text


@pytest.mark.parametrize("address", [address for address in ADDRESSES if address[:2] != "//"])
def test_no_function_quotes_a_password_in_an_address(alvys: Simulator, hook: QuickHook, address: str) -> None:
    calls = [
        lambda: make_credentials("id", "secret", auth_url=address),
        lambda: AlvysClient(make_credentials("id", "secret"), host=address),
        lambda: check_url_template(address),
        lambda: hook.request("GET", address),
        lambda: AlvysRequestOperator(task_id="t", path=address).execute({}),
        lambda: hook.write("webhooks.update", path_params={"id": "1"}, body={"Url": f"x{address}"}),
    ]
    for call in calls:
        with pytest.raises(AlvysError) as caught:
            call()
        assert PASSWORD not in str(caught.value)


PATHS = [
    f"s3://AKIA:{PASSWORD}@bucket/lake",
    f"s3://AKIA:{PASSWORD}/+x@bucket/lake",
    f"gs://user:{PASSWORD}@",
    f"abfs://lake@account.dfs.core.windows.net/alvys?sv=1&sig={PASSWORD}",
    f"https://user:{PASSWORD}@host/lake",
    f"AKIA:{PASSWORD}@bucket/lake",
    f"s3:/AKIA:{PASSWORD}@bucket/lake",
    f"s3://AKIA:{PASSWORD}@bucket/{{{{ ds }}}}",
]


def path_users() -> Iterator[Any]:
    yield pytest.param(check_path, id="check_path")
    yield pytest.param(Store, id="Store")
    yield pytest.param(lambda path: alvys_asset("loads", path), id="alvys_asset")
    yield pytest.param(lambda path: alvys_documents_asset("load", path), id="alvys_documents_asset")
    yield pytest.param(
        lambda path: check_parents(STREAMS["load_notes"], RecentParents(path=path)), id="RecentParents"
    )
    yield pytest.param(
        lambda path: AlvysUploadDocumentOperator(
            task_id="t", parent_type="load", parent_id="1", path=path, document_type="Proof of Delivery"
        ),
        id="AlvysUploadDocumentOperator",
    )
    yield pytest.param(
        lambda path: AlvysObjectStorageToSqlOperator(
            task_id="t", sql_conn_id="sql", path=path, stream="loads", manifest="x"
        ),
        id="AlvysObjectStorageToSqlOperator",
    )


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("use", [*path_users()])
def test_a_password_in_a_path_is_refused_and_not_quoted(use: Any, path: str) -> None:
    if "{{" in path and getattr(use, "__name__", "") == "<lambda>":
        path = path.replace("{{ ds }}", "x")
    with pytest.raises(AlvysValueError) as caught:
        use(path)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        "/data/a:b@c?d=e",
        "s3://aws_default@bucket/a:b",
        "s3://bucket/time=10:00/a@b",
        "s3://{{ {'a': 'b'}.a }}@bucket",
        "abfs://lake@account.dfs.core.windows.net/alvys",
        "file:///data/a",
    ],
)
def test_a_path_with_a_connection_or_odd_characters_is_accepted(path: str) -> None:
    assert check_path(path) == path

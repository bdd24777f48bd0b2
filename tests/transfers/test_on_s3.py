from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from airflow.sdk import ObjectStoragePath
from moto.server import ThreadedMotoServer

from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import Land


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A bucket "lake" on loopback, and the connection aws_lake to it: one for all tests, since Airflow keeps file systems."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
    client.create_bucket(Bucket="lake")
    connection = {"conn_type": "aws", "login": "a", "password": "b", "extra": {"endpoint_url": url, "region_name": "us-east-1"}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_AWS_LAKE", json.dumps(connection))
        yield client
    server.stop()


def read(bucket: Any, url: str) -> bytes:
    return bucket.get_object(Bucket="lake", Key=url.split("@lake/")[1])["Body"].read()


def test_two_runs_land_everything_then_what_changed(alvys: Simulator, bucket: Any, land: Land) -> None:
    path = "s3://aws_lake@lake/alvys"
    first = land(path=path, page_size=100, part_rows=200)
    alvys.change(rows=7, at=first["until"])
    second = land(path=path)
    assert first["manifest"].startswith(f"{path}/loads/")
    for result in (first, second):
        manifest = json.loads(read(bucket, result["manifest"]))
        folder = result["manifest"].rpartition("/")[0]
        lines = [line for part in manifest["parts"] for line in read(bucket, f"{folder}/{part['name']}").splitlines()]
        landed = {json.loads(line)["Id"] for line in lines}
        assert len(lines) == len(landed) == result["rows"]
        assert landed == set(alvys.truth_keys(since=result["since"], until=result["until"])) or result is first
    assert second["rows"] >= 7
    (cursor,) = [entry["Key"] for entry in bucket.list_objects_v2(Bucket="lake")["Contents"] if "_cursor-" in entry["Key"]]
    assert json.loads(bucket.get_object(Bucket="lake", Key=cursor)["Body"].read())["until"] == second["until"]


def test_an_object_storage_path_keeps_its_connection(alvys: Simulator, bucket: Any, land: Land) -> None:
    result = land(path=ObjectStoragePath("s3://lake/other", conn_id="aws_lake"))
    assert result["manifest"].startswith("s3://aws_lake@lake/other/loads/")
    assert json.loads(read(bucket, result["manifest"]))["rows"] == result["rows"] > 0

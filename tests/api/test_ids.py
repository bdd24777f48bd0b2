"""Ids, which become parts of the paths of requests."""

from __future__ import annotations

import re

import pytest

from airflow_provider_alvys.api.catalogue.operations import OPERATIONS
from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.read.lookup import look_up
from airflow_provider_alvys.api.read.queries import make_queries
from airflow_provider_alvys.api.write.prepare import prepare
from airflow_provider_alvys.simulator.process import Simulator

PLACEHOLDER = re.compile(r"\{(\w+)\}")
WRITES = [name for name, operation in OPERATIONS.items() if PLACEHOLDER.search(operation.path)]
CHILDREN = [name for name, stream in STREAMS.items() if PLACEHOLDER.search(stream.path)]
LOOKUPS = [
    name for name, stream in STREAMS.items() if stream.lookup and PLACEHOLDER.search(stream.lookup.path)
]


@pytest.mark.parametrize("id", ["..", ".", "", " ", "..\\x", "a/../../b", "%2e%2e", "a?b=c#d", "a\r\nb"])
def test_an_id_never_changes_the_path_of_a_request(alvys: Simulator, client: AlvysClient, id: str) -> None:
    is_refused = not id.strip(". ")
    assert len(WRITES) > 20
    assert CHILDREN
    assert LOOKUPS
    for name in WRITES:
        path = OPERATIONS[name].path
        params = dict.fromkeys(PLACEHOLDER.findall(path), id)
        problem = ""
        try:
            check(path, prepare(name, path_params=params).path)
        except AlvysValueError as error:
            # Most operations lack a body here, too.
            problem = str(error)
        assert not is_refused or all(f"{param}={id!r}" in problem for param in params)
    for name in CHILDREN:
        if is_refused:
            with pytest.raises(AlvysValueError):
                make_queries(STREAMS[name], {}, parents=[id])
        else:
            check(STREAMS[name].path, make_queries(STREAMS[name], {}, parents=[id])[0].path)
    if is_refused:
        for name in LOOKUPS:
            lookup = STREAMS[name].lookup
            assert lookup
            with pytest.raises(AlvysValueError):
                look_up(client, STREAMS[name], dict.fromkeys(PLACEHOLDER.findall(lookup.path), id))
        assert alvys.stats()["requests"] == {}


def check(template: str, path: str) -> None:
    """Check that only the placeholders of a path were replaced, each by one segment."""
    pattern = PLACEHOLDER.sub(
        lambda _: r"[\w.%~-]+", re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
    )
    assert re.fullmatch(pattern, path), path
    assert not {".", ".."} & {*path.split("/")}

"""Sending a write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_alvys.api.client import AlvysClient
from airflow_provider_alvys.api.operations import get_operation
from airflow_provider_alvys.api.uploads import FileSource


def write(
    client: AlvysClient,
    operation: str,
    *,
    path_params: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
    if_match: str | None = "auto",
    file: FileSource | None = None,
) -> dict[str, Any] | None:
    """
    Send a write and return the decoded answer, or None where there is none.

    :param operation: name in the catalogue, such as ``trips.assign``.
    :param path_params: what its path names.
    :param body: its fields, in Alvys's spelling.
    :param if_match: ``auto``, None, or an ETag.
    :param file: of an upload.
    """
    get_operation(operation)
    raise NotImplementedError

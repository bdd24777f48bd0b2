"""The catalogue of operations (writes), from Alvys's API documents."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_alvys.api.catalogue.operation_rows import (
    documents,
    freight,
    money,
    partners,
    tenders,
    webhooks,
)
from airflow_provider_alvys.api.catalogue.operation_spec import (
    AnyOf,
    ETagSource,
    Field,
    OneOf,
    Operation,
    RequiredIf,
    Upload,
)
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.suggestions import suggest

__all__ = [
    "OPERATIONS",
    "AnyOf",
    "ETagSource",
    "Field",
    "OneOf",
    "Operation",
    "RequiredIf",
    "Upload",
    "get_operation",
]

OPERATIONS: Mapping[str, Operation] = {
    operation.name: operation
    for operation in (
        *freight.OPERATIONS,
        *partners.OPERATIONS,
        *money.OPERATIONS,
        *documents.OPERATIONS,
        *tenders.OPERATIONS,
        *webhooks.OPERATIONS,
    )
}


def get_operation(name: str) -> Operation:
    """
    Return an operation's catalogue row.

    :param name: such as ``trips.assign``.
    :raises AlvysValueError: the operation does not exist.
    """
    if not isinstance(name, str) or name not in OPERATIONS:
        raise AlvysValueError(f"There is no operation {name!r}.{suggest(name, OPERATIONS, 'Operations')}")
    return OPERATIONS[name]

"""The catalogue of operations (writes), from Alvys's API documents."""

from __future__ import annotations

import difflib
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
        close = difflib.get_close_matches(str(name), OPERATIONS, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise AlvysValueError(f"There is no operation {name!r}.{hint} Operations: {', '.join(OPERATIONS)}")
    return OPERATIONS[name]

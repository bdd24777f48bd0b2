"""
Write ``docs/reference/operations.md`` from the catalogue. ``make docs`` calls this; a test fails while the page is not current.

    python -m scripts.write_operations_page docs/reference/operations.md
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from airflow_provider_alvys.api.catalogue.operations import (
    OPERATIONS,
    AnyOf,
    Field,
    OneOf,
    Operation,
    RequiredIf,
)

_PLACEHOLDER = re.compile(r"\{(\w+)\}")

_HEAD = """\
# Operations

<!-- Written by `make docs` from the catalogue in airflow_provider_alvys/api/catalogue. Do not edit. -->

An operation is a write that you can send to Alvys, from a DAG or in Python:

<!-- checked by: tests/test_docs.py::test_the_writes_that_pages_show_are_sent -->
```python
from airflow_provider_alvys import AlvysHook, AlvysWriteOperator

AlvysWriteOperator(
    task_id="arrived",
    operation="trip_stops.set_arrival",
    path_params={"tripId": "{{ params.trip }}", "stopId": "{{ params.stop }}"},
    body={"ArrivedAt": "2026-03-02T08:05:00-06:00"},
)
AlvysHook().write("trips.dispatch", path_params={"tripId": "TR0000000000000000001"})
```

[writing.md](../writing.md) explains writes step by step, and where `AlvysHook` finds its connection.

## Fill in the body

- Fields with `*` are required. Names are in Alvys's spelling.
- A time is a datetime with a zone, or an ISO 8601 string with one: `2026-03-02T08:05:00-06:00`. A day is `2026-03-02`.
- Money is `{"Amount": 1250.5, "Currency": 840}`, with the ISO 4217 number of the currency. Give an amount as a string (`"1250.50"`) to
  keep its digits in templates and XComs.
- `if_match="auto"` is the default: if Alvys requires `If-Match`, the record's ETag is read just before the write.

## Is a retry safe?

If the response to a write is lost, the write may or may not have taken place. The column *retry* says what a second attempt does:

- *safe*: the same as the first one. The write is retried.
- *by key*: nothing, because a field identifies the effect. The write is retried.
- *guarded*: Alvys refuses it, because the first attempt has changed the record's ETag. The write is retried, and the record shows whether
  the first attempt succeeded.
- *unsafe*: it may have a second effect. The write is not retried: it fails with `AlvysUnknownOutcomeError`, which says how to find out
  whether it took place.

## All operations

Scopes in *italics* are inferred from similar calls, because no document names them.

"""


def page() -> str:
    """Return the page's text."""
    lines = [
        f"{_HEAD}| operation | what it does | call | scope | If-Match | retry |",
        "|---|---|---|---|---|---|",
    ]
    for operation in OPERATIONS.values():
        cells = (
            f"[`{operation.name}`](#{_anchor(operation)})",
            operation.description[:1].lower() + operation.description[1:],
            f"`{operation.method} {operation.path}`",
            _scope(operation),
            "-" if operation.if_match == "none" else operation.if_match,
            {"by_key": f"by key `{operation.idempotency_field}`"}.get(
                operation.retry_safety, operation.retry_safety
            ),
        )
        lines.append(f"| {' | '.join(cells)} |")
    for operation in OPERATIONS.values():
        lines += ["", f"## {operation.name}", "", *_details(operation)]
    return "\n".join(lines) + "\n"


def _anchor(operation: Operation) -> str:
    return operation.name.replace(".", "")


def _scope(operation: Operation) -> str:
    if operation.scope is None:
        return "not documented"
    return f"`{operation.scope}`" if operation.scope_is_documented else f"*{operation.scope}*"


def _details(operation: Operation) -> list[str]:
    lines = [f"{operation.description}. `{operation.method} {operation.path}`"]
    if operation.path_params:
        lines += ["", f"`path_params`: {', '.join(f'`{name}`' for name in operation.path_params)}"]
    if operation.upload:
        megabytes = operation.upload.max_bytes // 2**20
        lines += ["", f"File: at most {megabytes} MB, one of {', '.join(operation.upload.media_types)}."]
        if operation.upload.document_types:
            lines += ["", f"`DocumentType`: {', '.join(operation.upload.document_types)}."]
    if operation.body:
        lines += ["", "| field | type | allowed values |", "|---|---|---|", *_fields(operation.body)]
    lines += [f"\n{_rule(rule)}" for rule in operation.rules]
    if operation.is_merge_patch:
        lines += ["", "At least one field is required. Fields that you leave out do not change."]
    lines += ["", f"Retry: {operation.retry_safety.replace('_', ' ')}. {operation.retry_reason}."]
    if operation.retry_safety == "unsafe":
        lines[-1] += f" If the outcome is unknown, {_quote(operation.check)}."
    if operation.notes:
        lines += ["", ". ".join(operation.notes) + "."]
    return lines


def _quote(text: str) -> str:
    return _PLACEHOLDER.sub(r"`\1`", text)


def _fields(fields: tuple[Field, ...], above: str = "") -> list[str]:
    lines = []
    for field in fields:
        inner = field.items if field.kind == "list" and field.items else field
        name = f"{above}{field.name}"
        kind = f"list of {inner.kind}s" if field.kind == "list" else field.kind
        lines.append(f"| `{name}`{' *' if field.required else ''} | {kind} | {_limits(field, inner)} |")
        lines += _fields(inner.fields, f"{name}{'[]' if field.kind == 'list' else ''}.")
    return lines


def _limits(field: Field, inner: Field) -> str:
    limits = []
    if inner.values:
        limits.append(", ".join(map(str, inner.values)))
    if field.max_length:
        limits.append(f"at most {field.max_length} {'items' if field.kind == 'list' else 'characters'}")
    if field.less_than is not None:
        limits.append(f"less than {field.less_than:g}")
    return "; ".join(limits)


def _rule(rule: OneOf | AnyOf | RequiredIf) -> str:
    if isinstance(rule, RequiredIf):
        condition = f"is {rule.value}" if rule.value else "is given"
        return f"`{rule.name}` is required if `{rule.other}` {condition}."
    names = ", ".join(f"`{name}`" for name in rule.names)
    if isinstance(rule, AnyOf):
        return f"At least one of {names} is required."
    return f"Exactly one of {names} is required."


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())

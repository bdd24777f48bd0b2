"""
Write ``docs/operations.md`` from the catalogue. ``make docs`` calls this; a test fails while the page is not current.

    python -m scripts.write_operations_page docs/operations.md
"""

from __future__ import annotations

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

_HEAD = """\
# Operations: what can be written

<!-- Written by `make docs` from the catalogue in airflow_provider_alvys/api/catalogue. Do not edit. -->

An operation is something that Alvys lets one write: `AlvysWriteOperator(operation="trips.assign", …)`,
`hook.write("trips.assign", …)`. [How to write](writing.md) tells the rest.

- **Again** is what a second attempt would do where the answer to the first one was lost. *safe*: the same. *by its key*: nothing, for a
  field names the effect. *guarded*: it is refused, for If-Match names the version that the first one has replaced. *unsafe*: perhaps it
  has a second effect. The first three are tried again; an unsafe one never is once it may have arrived: it fails with
  `AlvysUnknownOutcomeError`, which says how to check.
- **If-Match** names the version of the record that is changed. `if_match="auto"` reads it right before.
- Scopes in *italics* are inferred from those of neighbouring calls: no document names them.
- Fields with `*` are required. Times are ISO 8601 with a zone; an amount of money is `{"Amount": 1250.5, "Currency": 840}`, with the number
  of its currency in ISO 4217.
"""


def page() -> str:
    """Return the page's text."""
    lines = [_HEAD, "| operation | does | call | scope | If-Match | again |", "|---|---|---|---|---|---|"]
    for operation in OPERATIONS.values():
        cells = (
            f"[`{operation.name}`](#{_anchor(operation)})",
            operation.description[:1].lower() + operation.description[1:],
            f"`{operation.method} {operation.path}`",
            _scope(operation),
            "-" if operation.if_match == "none" else operation.if_match,
            {"by_key": f"by its key `{operation.idempotency_field}`"}.get(
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
        lines += ["", f"The file: at most {megabytes} MB; {', '.join(operation.upload.media_types)}."]
        if operation.upload.document_types:
            lines += ["", f"`DocumentType`: {', '.join(operation.upload.document_types)}."]
    if operation.body:
        lines += ["", "| field | type | |", "|---|---|---|", *_fields(operation.body)]
    lines += [f"\n{_rule(rule)}" for rule in operation.rules]
    if operation.is_merge_patch:
        lines += ["", "At least one field is given; those left out stay as they are."]
    lines += ["", f"Again: {operation.retry_safety.replace('_', ' ')}. {operation.retry_reason}."]
    if operation.notes:
        lines += ["", ". ".join(operation.notes) + "."]
    return lines


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
    told = []
    if inner.values:
        told.append(", ".join(map(str, inner.values)))
    if field.max_length:
        told.append(f"at most {field.max_length} {'items' if field.kind == 'list' else 'characters'}")
    if field.less_than is not None:
        told.append(f"less than {field.less_than:g}")
    return "; ".join(told)


def _rule(rule: OneOf | AnyOf | RequiredIf) -> str:
    if isinstance(rule, RequiredIf):
        where = f"is {rule.value}" if rule.value else "is given"
        return f"`{rule.name}` is needed where `{rule.other}` {where}."
    names = ", ".join(f"`{name}`" for name in rule.names)
    if isinstance(rule, AnyOf):
        return f"One or more of {names}."
    return f"Exactly one of {names}."


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())

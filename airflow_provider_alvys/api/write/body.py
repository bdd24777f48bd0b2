"""The body of a write: validation, and conversion to the values that are sent."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from airflow_provider_alvys.api.catalogue.operation_spec import AnyOf, Field, OneOf, RequiredIf
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.windows import as_utc, format_time
from airflow_provider_alvys.api.suggestions import suggest

_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_INTEGER = re.compile(r"-?\d+", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

IsTemplated = Callable[[Any], bool]


class BodyValidator:
    """
    Validate a body field by field and collect all problems.

    :param is_templated: whether a value is a template, which cannot be checked before it is rendered.
    :param is_merge_patch: whether None clears a field. Elsewhere a field with None is not sent.
    """

    def __init__(self, *, is_templated: IsTemplated, is_merge_patch: bool = False) -> None:
        self.problems: list[str] = []
        self._is_templated = is_templated
        self._is_merge_patch = is_merge_patch

    def validate(
        self, fields: Sequence[Field], rules: Sequence[OneOf | AnyOf | RequiredIf], body: Mapping[Any, Any]
    ) -> dict[str, Any]:
        """Return the body to send: plain JSON values, with Decimal for numbers that have a fraction."""
        sent = self._fields(fields, body, "")
        self.problems += filter(None, (self._broken_rule(rule, sent) for rule in rules))
        return sent

    def _fields(self, fields: Sequence[Field], given: Mapping[Any, Any], prefix: str) -> dict[str, Any]:
        known = {field.name: field for field in fields}
        sent: dict[str, Any] = {}
        for name, value in given.items():
            if self._is_templated(name):
                continue
            if name not in known:
                self.problems.append(f"unknown field {prefix}{name}{hint(name, known, 'fields')}")
            elif value is not None:
                sent[name] = self._value(known[name], value, prefix + name)
            elif self._is_merge_patch and not known[name].required:
                sent[name] = None
        # A templated name may render to any of the missing ones.
        if not any(self._is_templated(name) for name in given):
            missing = [field.name for field in fields if field.required and field.name not in sent]
            self.problems += [f"{prefix}{name} is missing" for name in missing]
        return sent

    def _value(self, field: Field, value: Any, name: str) -> Any:
        # The items of a list and the fields of an object are checked one by one.
        if self._is_templated(value) and not isinstance(value, (Mapping, list, tuple)):
            return value
        try:
            return getattr(self, f"_{field.kind}")(field, value, name)
        except AlvysValueError as error:
            self.problems.append(f"{error}{f'. {field.hint}' if field.hint else ''}")
            return value

    def _string(self, field: Field, value: Any, name: str) -> str:
        if not isinstance(value, str):
            raise AlvysValueError(f"{name}={value!r} must be a string, not {type(value).__name__}")
        if field.required and not value.strip():
            raise AlvysValueError(f"{name} is blank")
        if field.max_length and len(value) > field.max_length:
            raise AlvysValueError(f"{name} has {len(value)} characters, more than {field.max_length}")
        if field.prefixes and not value.startswith(field.prefixes):
            # Not quoted: an address may contain a password.
            raise AlvysValueError(f"{name} must begin with {field.prefixes[0]}")
        _check_choice(field, value, name)
        return value

    def _integer(self, field: Field, value: Any, name: str) -> int:
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise AlvysValueError(f"{name}={value!r} must be an integer")
        _check_choice(field, value, name)
        return value

    def _number(self, field: Field, value: Any, name: str) -> int | float | Decimal:
        # XCom has no Decimal: a string of digits keeps the exact amount.
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            value = Decimal(value)
        is_number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            raise AlvysValueError(f"{name}={value!r} must be a number")
        if field.less_than is not None and not value < field.less_than:
            raise AlvysValueError(f"{name}={value} must be less than {field.less_than:.2f}")
        return value  # type: ignore[no-any-return]

    def _boolean(self, field: Field, value: Any, name: str) -> bool:
        if not isinstance(value, bool):
            raise AlvysValueError(f"{name}={value!r} must be true or false{_native(value)}")
        return value

    def _time(self, field: Field, value: Any, name: str) -> str:
        moment = as_utc(value, name)
        if isinstance(value, datetime):
            return value.isoformat()
        # A rendered datetime has a space in place of the T, which is not strict ISO 8601.
        text = str(value).strip()
        return text if _TIME.fullmatch(text) else format_time(moment)

    def _day(self, field: Field, value: Any, name: str) -> str:
        if isinstance(value, date) and not isinstance(value, datetime):
            value = value.isoformat()
        if isinstance(value, str) and _DAY.fullmatch(value.strip()):
            value = f"{value.strip()}T00:00:00Z"
        if as_utc(value, name).time() != time():
            # The day of any other time depends on the reader's zone.
            raise AlvysValueError(f"{name}={value!r} must be a day without a time, such as 2026-03-01")
        return self._time(field, value, name)

    def _object(self, field: Field, value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            names = ", ".join(part.name for part in field.fields)
            raise AlvysValueError(f"{name}={value!r} must be a dict of {names}")
        return self._fields(field.fields, value, f"{name}.")

    def _list(self, field: Field, value: Any, name: str) -> list[Any]:
        if not isinstance(value, (list, tuple)) or field.items is None:
            raise AlvysValueError(f"{name}={value!r} must be a list{_native(value)}")
        if len(value) < field.min_items:
            raise AlvysValueError(f"{name} is empty")
        if field.max_length and len(value) > field.max_length:
            raise AlvysValueError(f"{name} has {len(value)} items, more than {field.max_length}")
        return [self._value(field.items, item, f"{name}[{number}]") for number, item in enumerate(value)]

    def _broken_rule(self, rule: OneOf | AnyOf | RequiredIf, sent: Mapping[str, Any]) -> str | None:
        # Templated values are left out: they may render to None, which counts as not given.
        if isinstance(rule, RequiredIf):
            value = sent.get(rule.other)
            applies = not _is_blank(value) and not self._is_templated(value) and rule.value in (None, value)
            if not applies or not _is_blank(sent.get(rule.name)):
                return None
            return f"{rule.name} is required if {rule.other} is {rule.value or 'given'}"
        given = [name for name in rule.names if name in sent]
        if any(self._is_templated(sent[name]) for name in given):
            return None
        names = " and ".join(rule.names) if len(rule.names) == 2 else ", ".join(rule.names)
        if isinstance(rule, AnyOf):
            return None if given else f"at least one of {names} is required"
        blank = next((name for name in given if _is_blank(sent[name])), None)
        if blank is not None:
            return f"{blank} is blank: leave it out"
        return None if len(given) == 1 else f"exactly one of {names} is required, not {len(given)}"


def hint(name: Any, known: Iterable[Any], listed: str) -> str:
    """Return a suggestion as :func:`suggest` does, within one of several problems."""
    return f" ({suggest(name, known, listed).strip(' .')})"


def record_shows(fields: Sequence[Field], written: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Return whether a record has the values that were written; False where it shows none of those fields."""
    known = {field.name: field for field in fields}
    compared = [
        _equals(field, value, record.get(field.record_field or name))
        for name, value in written.items()
        if (field := known[name]).record_field is not None
    ]
    return bool(compared) and all(compared)


def _equals(field: Field, written: Any, shown: Any) -> bool:
    if written in (None, "", []):
        return shown in (None, "", [])
    if field.kind == "object":
        return isinstance(shown, Mapping) and record_shows(field.fields, written, shown)
    if field.kind in ("time", "day"):
        return isinstance(shown, str) and as_utc(written, field.name) == as_utc(shown, field.name)
    return bool(written == shown)


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _check_choice(field: Field, value: str | int, name: str) -> None:
    if not field.values or value in field.values:
        return
    raise AlvysValueError(f"{name}={value!r} is not allowed{hint(value, field.values, 'allowed')}")


def _native(value: Any) -> str:
    hint = ". A template renders to a string: set render_template_as_native_obj=True on the DAG"
    return hint if isinstance(value, str) else ""

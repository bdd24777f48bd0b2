"""The body of a write: what is wrong with it, and how it is sent."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from airflow_provider_alvys.api.catalogue.operation_spec import AnyOf, Field, OneOf, RequiredIf
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.windows import as_utc, format_time

_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_WHOLE = re.compile(r"-?\d+", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# More allowed values than this are no help in an error.
_MANY = 40

IsOpen = Callable[[Any], bool]


class BodyReader:
    """
    Check a body field by field and collect all that is wrong with it.

    :param is_open: tells of a value that cannot be checked yet: a template.
    :param patch: whether None empties a field; elsewhere it means that the field is not given.
    """

    def __init__(self, *, is_open: IsOpen, patch: bool = False) -> None:
        self.problems: list[str] = []
        self._is_open = is_open
        self._patch = patch

    def read(
        self, fields: Sequence[Field], rules: Sequence[OneOf | AnyOf | RequiredIf], body: Mapping[Any, Any]
    ) -> dict[str, Any]:
        """Return the body as it is sent: of plain JSON values, Decimal for numbers with a fraction."""
        sent = self._object(fields, body, "")
        for rule in rules:
            problem = self._broken(rule, sent)
            if problem:
                self.problems.append(problem)
        return sent

    def _object(self, fields: Sequence[Field], given: Mapping[Any, Any], prefix: str) -> dict[str, Any]:
        known = {field.name: field for field in fields}
        # A template in the place of a name may become any name.
        hides_names = any(self._is_open(name) for name in given)
        sent: dict[str, Any] = {}
        for name, value in given.items():
            if self._is_open(name):
                continue
            if name not in known:
                self.problems.append(f"there is no field {prefix}{name}{suggest(name, known)}")
                continue
            field = known[name]
            if value is not None:
                sent[name] = self._value(field, value, prefix + name)
            elif self._patch and not field.required:
                sent[name] = None
        missing = [
            field.name for field in fields if field.required and field.name not in sent and not hides_names
        ]
        self.problems += [f"{prefix}{name} is missing" for name in missing]
        return sent

    def _value(self, field: Field, value: Any, name: str) -> Any:
        # Inside of an object or a list the parts are looked at one by one.
        if self._is_open(value) and not isinstance(value, (Mapping, list, tuple)):
            return value
        try:
            return self._READERS[field.kind](self, field, value, name)
        except AlvysValueError as error:
            self.problems.append(f"{error}{f'. {field.hint}' if field.hint else ''}")
            return value

    def _string(self, field: Field, value: Any, name: str) -> str:
        if not isinstance(value, str):
            raise AlvysValueError(f"{name}={value!r} must be a text, not {_kind(value)}")
        if field.required and not value.strip():
            raise AlvysValueError(f"{name} is blank")
        if field.max_length and len(value) > field.max_length:
            raise AlvysValueError(
                f"{name} is of {len(value)} characters: at most {field.max_length} are taken"
            )
        if field.prefixes and not value.startswith(field.prefixes):
            raise AlvysValueError(f"{name}={value!r} must begin with {field.prefixes[0]}")
        _check_choice(field, value, name)
        return value

    def _integer(self, field: Field, value: Any, name: str) -> int:
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise AlvysValueError(f"{name}={value!r} must be a whole number")
        _check_choice(field, value, name)
        return value

    def _number(self, field: Field, value: Any, name: str) -> int | float | Decimal:
        # A text holds a number's digits where XCom, which knows no Decimal, would bend them.
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            value = Decimal(value)
        if (
            not isinstance(value, (int, float, Decimal))
            or isinstance(value, bool)
            or not math.isfinite(value)
        ):
            raise AlvysValueError(f"{name}={value!r} must be a number")
        if field.less_than is not None and not value < field.less_than:
            raise AlvysValueError(f"{name}={value} must be below {field.less_than:.2f}")
        return value

    def _boolean(self, field: Field, value: Any, name: str) -> bool:
        if not isinstance(value, bool):
            raise AlvysValueError(f"{name}={value!r} must be true or false{_native(value)}")
        return value

    def _time(self, field: Field, value: Any, name: str) -> str:
        moment = as_utc(value, name)
        if isinstance(value, datetime):
            return value.isoformat()
        # With a blank for the T, a template's text of a time is not what a strict reader takes.
        text = str(value).strip()
        return text if _TIME.fullmatch(text) else format_time(moment)

    def _day(self, field: Field, value: Any, name: str) -> str:
        if isinstance(value, str) and _DAY.fullmatch(value.strip()):
            value = f"{value.strip()}T00:00:00Z"
        elif isinstance(value, date) and not isinstance(value, datetime):
            value = f"{value.isoformat()}T00:00:00Z"
        if as_utc(value, name).time() != time():
            # Of which day it is depends on who reads it.
            raise AlvysValueError(f"{name}={value!r} is no day: give it like 2026-03-01, without a time")
        return self._time(field, value, name)

    def _nested(self, field: Field, value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise AlvysValueError(
                f"{name}={value!r} must be a dict of {', '.join(part.name for part in field.fields)}"
            )
        return self._object(field.fields, value, f"{name}.")

    def _list(self, field: Field, value: Any, name: str) -> list[Any]:
        if not isinstance(value, (list, tuple)) or field.items is None:
            raise AlvysValueError(f"{name}={value!r} must be a list{_native(value)}")
        if len(value) < field.min_items:
            raise AlvysValueError(f"{name} is empty")
        if field.max_length and len(value) > field.max_length:
            raise AlvysValueError(f"{name} is of {len(value)} items: at most {field.max_length} are taken")
        return [self._value(field.items, item, f"{name}[{number}]") for number, item in enumerate(value)]

    def _broken(self, rule: OneOf | AnyOf | RequiredIf, sent: Mapping[str, Any]) -> str | None:
        if isinstance(rule, RequiredIf):
            value = sent.get(rule.other)
            if _is_blank(value) or rule.value not in (None, value) or not _is_blank(sent.get(rule.name)):
                return None
            if self._is_open(value):
                # It may become None, which is not given.
                return None
            return f"{rule.name} is needed where {rule.other} is {rule.value or 'given'}"
        given = [name for name in rule.names if name in sent]
        if any(self._is_open(sent[name]) for name in given):
            # What a template becomes may be None, which is not given.
            return None
        names = " and ".join(rule.names) if len(rule.names) == 2 else ", ".join(rule.names)
        if isinstance(rule, AnyOf):
            return None if given else f"nothing is given: at least one of {names} is needed"
        blank = [name for name in given if _is_blank(sent[name])]
        if blank:
            return f"{blank[0]} is blank: leave it out"
        if len(given) == 1 or (rule.or_none and not given):
            return None
        return (
            f"{'at most' if rule.or_none else 'exactly'} one of {names} is taken, not {len(given) or 'none'}"
        )

    _READERS = {  # noqa: RUF012
        "string": _string,
        "integer": _integer,
        "number": _number,
        "boolean": _boolean,
        "time": _time,
        "day": _day,
        "object": _nested,
        "list": _list,
    }


def suggest(name: Any, known: Collection[str]) -> str:
    """Return what a misspelt name may have meant, as the end of a sentence, and else what there is."""
    if not known:
        return ": none is taken"
    plain = {other.replace("_", "").lower(): other for other in known}
    close = difflib.get_close_matches(str(name).replace("_", "").lower(), plain, n=1, cutoff=0.6)
    return f": did you mean {plain[close[0]]}?" if close else f": there are {', '.join(known)}"


def shows(fields: Sequence[Field], written: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Return whether a record shows what was written, as far as it shows those fields at all. False where it shows none."""
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
        return isinstance(shown, Mapping) and shows(field.fields, written, shown)
    if field.kind in ("time", "day"):
        return isinstance(shown, str) and as_utc(written, field.name) == as_utc(shown, field.name)
    return bool(written == shown)


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _check_choice(field: Field, value: str | int, name: str) -> None:
    if not field.values or value in field.values:
        return
    texts = [str(known) for known in field.values]
    close = difflib.get_close_matches(str(value), texts, n=1, cutoff=0.6) if isinstance(value, str) else []
    meant = f". Did you mean {close[0]!r}?" if close else ""
    allowed = f". Allowed: {', '.join(texts)}" if len(texts) <= _MANY else ""
    raise AlvysValueError(f"{name}={value!r} is not taken{meant}{allowed}")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    kinds = (
        ((int, float, Decimal), "a number"),
        (Mapping, "a dict"),
        ((list, tuple), "a list"),
        (date, "a time"),
    )
    return next((word for kind, word in kinds if isinstance(value, kind)), f"of type {type(value).__name__}")


def _native(value: Any) -> str:
    return (
        ". A template gives a text: set render_template_as_native_obj=True on the DAG"
        if isinstance(value, str)
        else ""
    )

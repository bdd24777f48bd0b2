"""
The signatures of webhook deliveries.

Pass the body byte for byte as it arrived: a body that is decoded and encoded again has another signature.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Mapping, Sequence
from typing import Literal

from airflow_provider_alvys.api.errors import AlvysSignatureError, AlvysValueError
from airflow_provider_alvys.api.scrubbing import remember_secret

# The signed bytes: time, event id and body, as Alvys documents, or time and body, as one known client has it.
Base = Literal["t.id.body", "t.body"]
Secrets = str | bytes | Sequence[str | bytes]

DOCUMENTED_BASE: Base = "t.id.body"
# Seconds that the signature's time may differ from now, as Alvys recommends.
TOLERANCE = 300.0

EVENT_ID = "x-alvys-event-id"
TIMESTAMP = "x-alvys-timestamp"
SIGNATURE = "x-alvys-signature"

_TIME = re.compile(r"[0-9]{1,12}", re.ASCII)
_DIGEST = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
# Without braces: else a part of the body could move into the id, and the signed bytes would be the same.
_EVENT_ID = re.compile(r"[!-z|~]{1,255}", re.ASCII)


def check_headers(
    headers: Mapping[str, str],
    *,
    now: float | None = None,
    tolerance: float = TOLERANCE,
    base: Base = DOCUMENTED_BASE,
) -> None:
    """
    Raise an error if the headers of a delivery show that its signature cannot be valid and recent.

    It needs neither the body nor the secret: call it first, and refuse most forgeries without reading them.
    It accepts anything that looks right: call :func:`verify_signature` as well. The arguments are those of
    :func:`~airflow_provider_alvys.api.webhooks.receive`.

    :raises AlvysSignatureError: a header is missing or not valid, or its time is too far from now.
    """
    given = normalize_headers(headers)
    stamp, _ = _parse_signature(given)
    _signed_id(given, base)
    _check_age(stamp, now, tolerance)


def verify_signature(
    headers: Mapping[str, str],
    body: bytes,
    secrets: Secrets,
    *,
    now: float | None = None,
    tolerance: float = TOLERANCE,
    base: Base = DOCUMENTED_BASE,
) -> None:
    """
    Raise an error unless Alvys signed the delivery recently with the secret.

    ``X-Alvys-Signature`` is ``t=<seconds>,v1=<hex>``; while the secret rotates, ``,v0=<hex>`` is added with
    the previous one. Either digest may match any of the secrets. Each part may occur once; others are
    ignored. The comparison takes constant time. The arguments are those
    of :func:`~airflow_provider_alvys.api.webhooks.receive`.

    :raises AlvysSignatureError: the signature is not valid or not recent.
    :raises AlvysValueError: no secret is given.
    """
    keys = _parse_secrets(secrets)
    given = normalize_headers(headers)
    stamp, digests = _parse_signature(given)
    message = b".".join([stamp.encode(), *_signed_id(given, base), body])
    expected = [hmac.new(key, message, hashlib.sha256).digest() for key in keys]
    # Compare all of them: the time taken must not depend on the result.
    matches = [hmac.compare_digest(one, other) for one in expected for other in digests]
    if not any(matches):
        raise AlvysSignatureError("No signature matches the webhook's secret", reason="signature")
    _check_age(stamp, now, tolerance)


def _parse_secrets(secrets: Secrets) -> list[bytes]:
    given = [secrets] if isinstance(secrets, (str, bytes)) else list(secrets)
    keys = [secret.encode() if isinstance(secret, str) else secret for secret in given]
    if not keys or not all(keys):
        # Anyone can sign with an empty secret.
        raise AlvysValueError("The webhook's secret is missing or empty: set it to check signatures")
    for key in keys:
        remember_secret(key.decode("latin-1"))
    return keys


def _parse_signature(headers: Mapping[str, str]) -> tuple[str, list[bytes]]:
    """Return the time of a signature as text, and its digests."""
    parts = [part.strip().partition("=") for part in headers.get(SIGNATURE, "").split(",")]
    known = [(name, value) for name, _, value in parts if name in ("t", "v1", "v0")]
    values = dict(known)
    digests = [values[name] for name in ("v1", "v0") if name in values]
    stamp = values.get("t", "")
    if (
        # A part that occurs twice comes from two headers.
        len(known) != len(values)
        or "v1" not in values
        or not _TIME.fullmatch(stamp)
        or not all(_DIGEST.fullmatch(digest) for digest in digests)
    ):
        raise AlvysSignatureError(
            "X-Alvys-Signature is missing or not of the form t=<seconds>,v1=<hex>", reason="malformed"
        )
    timestamp = headers.get(TIMESTAMP, stamp)
    if not _TIME.fullmatch(timestamp) or int(timestamp) != int(stamp):
        raise AlvysSignatureError("X-Alvys-Timestamp is not the signature's time", reason="malformed")
    return stamp, [bytes.fromhex(digest) for digest in digests]


def _signed_id(headers: dict[str, str], base: Base) -> list[bytes]:
    """Return the event id, if it is signed."""
    if base == "t.body":
        return []
    if base != "t.id.body":
        raise AlvysValueError(f"base={base!r} is not supported: give t.id.body or t.body")
    event_id = headers.get(EVENT_ID, "")
    if not _EVENT_ID.fullmatch(event_id):
        raise AlvysSignatureError("X-Alvys-Event-Id is missing or not valid", reason="malformed")
    return [event_id.encode()]


def _check_age(stamp: str, now: float | None, tolerance: float) -> None:
    age = (time.time() if now is None else now) - int(stamp)
    # Negated, so that NaN is refused too.
    if not age <= tolerance:
        raise AlvysSignatureError(f"Signed {age:.0f} s ago: a replay, or this clock is fast", reason="stale")
    if not -tolerance <= age:
        raise AlvysSignatureError(f"Signed {-age:.0f} s in the future: check this clock", reason="future")


def normalize_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers by lower-case name, without those that occur in two spellings."""
    named: dict[str, list[str]] = {}
    for name, value in headers.items():
        named.setdefault(name.lower(), []).append(value.strip(" \t"))
    return {name: values[0] for name, values in named.items() if len(values) == 1}

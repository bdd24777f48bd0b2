"""
What Alvys sends to a webhook's address: its signature checked, its handshake answered, its events with types.

All of it are functions of a delivery's headers and its body as it came, byte for byte: a body that was decoded and encoded again
has another signature. Nothing here listens, stores or looks up anything.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

from airflow_provider_alvys.api.errors import AlvysSignatureError, AlvysValueError, AlvysWebhookError
from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.api.schema.values import converter

# What is signed: the time, the event's id and the body, as Alvys documents; or the time and the body, as one client has it.
Base = Literal["t.id.body", "t.body"]
Secrets = str | bytes | Sequence[str | bytes]

DOCUMENTED_BASE: Base = "t.id.body"
# Seconds that the time in a signature may be off, either way, as Alvys advises.
TOLERANCE = 300.0

EVENT = "x-alvys-event"
EVENT_ID = "x-alvys-event-id"
TIMESTAMP = "x-alvys-timestamp"
SIGNATURE = "x-alvys-signature"
ATTEMPT = "x-alvys-attempt"
CHALLENGE = "x-alvys-challenge"
VERIFICATION = "webhook.verification"

_TIME = re.compile(r"[0-9]{1,12}", re.ASCII)
# Nothing says in which case Alvys writes them; both name the same bytes.
_DIGEST = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
# No brace: with one, a piece of the body could move into the id before it and the signed bytes would be the same.
_EVENT_ID = re.compile(r"[!-z|~]{1,255}", re.ASCII)
_ATTEMPT = re.compile(r"[0-9]{1,4}", re.ASCII)
_LONGEST_CHALLENGE = 4096
# Bytes of a handshake, which anyone may send: more are not read as JSON, which would keep an event loop from all else.
_LARGEST_HANDSHAKE = 32 * 1024

_read_time = converter("time")


@dataclass(frozen=True)
class Challenge:
    """
    Alvys's question whether the address is ours, when a webhook is enabled or its address changes.

    :param challenge: what it wants to see again.
    """

    challenge: str

    @property
    def answer(self) -> dict[str, str]:
        """The JSON body to answer with, by status 200 and within three seconds."""
        return {"challenge": self.challenge}


@dataclass(frozen=True)
class Change:
    """
    Something that was changed in a record.

    :param kind: what was done, as Alvys says it.
    :param target_type: what it was done to, such as ``Stop`` or ``Field``; None for the record itself.
    :param target_id: which of these; None where Alvys does not say.
    """

    kind: str
    target_type: str | None = None
    target_id: str | None = None


@dataclass(frozen=True)
class AlvysEvent:
    """
    Something that has happened in Alvys.

    :param key: what identifies it: the same at each attempt to deliver it, and another one for any other event.
    :param type: such as ``load.status.changed``.
    :param id: the id in the envelope, or None.
    :param timestamp: when it happened, as Alvys writes it, with seven digits after the second; None where Alvys does not say.
    :param version: of the envelope, as Alvys writes it.
    :param etag: of a document, or None.
    :param data: all that it tells: numbers with a fraction are Decimal, names are in camelCase.
    :param attempt: how often Alvys has tried to deliver it, this time included. It is not signed.
    :param envelope: the whole body, with fields that nothing here knows.
    """

    key: str
    type: str
    id: str | None = None
    timestamp: str | None = None
    version: str | None = None
    etag: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    attempt: int | None = None
    envelope: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def moment(self) -> datetime | None:
        """When it happened, to the microsecond and in UTC; None where Alvys does not say in a way that can be read."""
        found = _read_time(self.timestamp)
        # The seventh digit is more than a datetime holds.
        return datetime.fromisoformat(found[0][:26]).replace(tzinfo=timezone.utc) if found else None

    @property
    def entity_type(self) -> str:
        """What it happened to: ``load``, ``trip``, ``tender``, and for a document's event whose document it is."""
        return self.type.partition(".")[0]

    @property
    def entity_id(self) -> str | None:
        """Alvys's id of that: of a document's event the parent's; None where the event does not tell it."""
        name = self.entity_type
        document = self.document
        last = (self.data, "id") if document is None else (document, "parentId")
        return _first_text((_object(self.data, name), "id"), (self.data, f"{name}Id"), last)

    @property
    def entity_number(self) -> str | None:
        """The number of that, such as a load's; None where the event does not tell it."""
        name = f"{self.entity_type}Number"
        return _first_text((_object(self.data, self.entity_type), name), (self.data, name))

    @property
    def record(self) -> Mapping[str, Any] | None:
        """The load or trip as it is after the event, with all that a look-up would answer; None where the event has none."""
        return _object(self.data, self.entity_type)

    @property
    def document(self) -> Mapping[str, Any] | None:
        """What a document's event says about the document; None for other events. That of a deleted one has no URL."""
        return _object(self.data, "document")

    @property
    def changes(self) -> tuple[Change, ...]:
        """What was changed. None at all is common: a load is saved again whenever its trip is."""
        found = (_object(self.data, "diff") or {}).get("changes")
        return (
            tuple(_change(item) for item in found if isinstance(item, dict))
            if isinstance(found, list)
            else ()
        )

    @property
    def previous_attributes(self) -> Mapping[str, Any] | None:
        """What the changed fields held before; None unless the webhook asks for it."""
        return _object(_object(self.data, "diff"), "previousAttributes")


def receive(
    headers: Mapping[str, str],
    body: bytes,
    secrets: Secrets,
    *,
    now: float | None = None,
    tolerance: float = TOLERANCE,
    base: Base = DOCUMENTED_BASE,
) -> Challenge | AlvysEvent:
    """
    Return what was delivered to a webhook's address: Alvys's handshake, or an event that Alvys has signed.

    A delivery that comes again, from Alvys or from someone who has overheard it, is the same event with the same key: see
    :class:`~airflow_provider_alvys.api.replays.ReplayGuard`.

    :param headers: of the request; their names in any case.
    :param body: of the request, as it came.
    :param secrets: the webhook's secret; while it rotates, both may be given.
    :param now: seconds since 1970; None means the clock's.
    :param tolerance: seconds that the signature's time may be off.
    :param base: what is signed.
    :raises AlvysSignatureError: Alvys has not signed it, or not within the tolerance. Answer with its ``status_code``, 401.
    :raises AlvysWebhookError: it is no event and no handshake. Answer with its ``status_code``, 400.
    :raises AlvysValueError: there is no secret.
    """
    challenge = answer_challenge(headers, body)
    if challenge is not None:
        return Challenge(challenge["challenge"])
    verify_signature(headers, body, secrets, now=now, tolerance=tolerance, base=base)
    return parse_event(headers, body, base=base)


def answer_challenge(headers: Mapping[str, str], body: bytes) -> dict[str, str] | None:
    """
    Return the JSON body that answers Alvys's handshake, or None where the delivery is none.

    The handshake is not signed: whoever knows the address can ask, and learns nothing but what was asked.

    :raises AlvysWebhookError: the handshake has no challenge, or two, or is larger than any is.
    """
    given = _lower(headers)
    if given.get(EVENT) != VERIFICATION:
        return None
    if len(body) > _LARGEST_HANDSHAKE:
        raise AlvysWebhookError(f"The handshake of a webhook has {len(body)} bytes")
    sent = _read_object(body)
    # In the header and in the body by the documents: one of them is enough.
    challenges = [
        value for value in (given.get(CHALLENGE) or None, sent.get("challenge")) if value is not None
    ]
    challenge = challenges[0] if challenges and challenges.count(challenges[0]) == len(challenges) else None
    if not isinstance(challenge, str) or not 0 < len(challenge) <= _LONGEST_CHALLENGE:
        raise AlvysWebhookError(
            "The handshake of a webhook has no challenge, or its header and its body have different ones"
        )
    return {"challenge": challenge}


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
    Refuse a delivery that Alvys has not signed with the secret, or not lately.

    ``X-Alvys-Signature`` is ``t=<seconds>,v1=<hex>``, and while the secret rotates ``,v0=<hex>`` with the one before: either may
    match any of the secrets. Each of these may stand there once; others are left alone. The time it takes does not tell which of
    them matches, or how far. The arguments are those of :func:`receive`.

    :raises AlvysSignatureError: it is not signed so, or at another time.
    :raises AlvysValueError: there is no secret.
    """
    keys = _keys(secrets)
    given = _lower(headers)
    stamp, digests = _parse_signature(given)
    signed = [stamp.encode()]
    if base == "t.id.body":
        signed.append(_event_id(given).encode())
    elif base != "t.body":
        raise AlvysValueError(f"base={base!r}: give t.id.body or t.body")
    message = b".".join([*signed, body])
    expected = [hmac.new(key, message, hashlib.sha256).digest() for key in keys]
    # All are compared, whatever comes of it.
    matches = [hmac.compare_digest(one, other) for one in expected for other in digests]
    if not any(matches):
        raise AlvysSignatureError(
            "The webhook's delivery is not signed with the webhook's secret, or was altered",
            reason="signature",
        )
    age = (time.time() if now is None else now) - int(stamp)
    # So that what is no number lets nothing pass.
    if not age <= tolerance:
        raise AlvysSignatureError(f"The webhook's delivery was signed {age:.0f} s ago", reason="stale")
    if not -tolerance <= age:
        raise AlvysSignatureError(f"The webhook's delivery was signed {-age:.0f} s from now", reason="future")


def parse_event(headers: Mapping[str, str], body: bytes, *, base: Base = DOCUMENTED_BASE) -> AlvysEvent:
    """
    Return the event in a delivery. Who sent it is not asked here.

    Its key is ``X-Alvys-Event-Id``, or the id in the envelope. Where the header is not signed it is that in the envelope, or a
    digest of the body: whoever sends a delivery again can write another header.

    :param base: what is signed.
    :raises AlvysWebhookError: it is no event: not a JSON object, without a type, or without anything that identifies it.
    """
    given = _lower(headers)
    envelope = _read_object(body)
    own = _text(envelope.get("id"))
    told = (given.get(EVENT_ID) or own) if base == "t.id.body" else (own or hashlib.sha256(body).hexdigest())
    attempt = given.get(ATTEMPT, "")
    return make_event(
        envelope,
        key=told,
        attempt=int(attempt) if _ATTEMPT.fullmatch(attempt) else None,
    )


def make_event(
    envelope: Mapping[str, Any], *, key: str | None = None, attempt: int | None = None
) -> AlvysEvent:
    """
    Return the event in an envelope that was decoded already, such as the payload that a receiver has stored.

    :param key: what identifies it; None means the id in the envelope.
    :raises AlvysWebhookError: it has no type, or nothing that identifies it.
    """
    type = envelope.get("type")
    if not isinstance(type, str) or not type:
        raise AlvysWebhookError("The webhook's delivery has no type: it is no event of Alvys's")
    id = _text(envelope.get("id"))
    known = key or id
    if known is None:
        raise AlvysWebhookError("The webhook's delivery has no id, in X-Alvys-Event-Id or in its envelope")
    return AlvysEvent(
        key=known,
        type=type,
        id=id,
        timestamp=_text(envelope.get("timestamp")),
        version=_text(envelope.get("version")),
        etag=_text(envelope.get("etag")),
        data=_object(envelope, "data") or {},
        attempt=attempt,
        envelope=envelope,
    )


def _keys(secrets: Secrets) -> list[bytes]:
    given = [secrets] if isinstance(secrets, (str, bytes)) else list(secrets)
    keys = [secret.encode() if isinstance(secret, str) else secret for secret in given]
    if not keys or not all(keys):
        # Anyone can sign with an empty one.
        raise AlvysValueError("There is no secret to check the webhook's signature with, or an empty one")
    return keys


def _parse_signature(headers: Mapping[str, str]) -> tuple[str, list[bytes]]:
    """Return the time of a signature, as it stands there, and its digests."""
    parts = [part.strip().partition("=") for part in headers.get(SIGNATURE, "").split(",")]
    known = [(name, value) for name, _, value in parts if name in ("t", "v1", "v0")]
    values = dict(known)
    digests = [values[name] for name in ("v1", "v0") if name in values]
    stamp = values.get("t", "")
    if (
        # One that stands there twice was made of two headers, and nothing tells which of them counts.
        len(known) != len(values)
        or "v1" not in values
        or not _TIME.fullmatch(stamp)
        or not all(_DIGEST.fullmatch(digest) for digest in digests)
    ):
        raise AlvysSignatureError(
            "The webhook's delivery has no X-Alvys-Signature of the form t=<seconds>,v1=<hex>",
            reason="malformed",
        )
    told = headers.get(TIMESTAMP, stamp)
    if not _TIME.fullmatch(told) or int(told) != int(stamp):
        raise AlvysSignatureError(
            "X-Alvys-Timestamp is not the time in X-Alvys-Signature", reason="malformed"
        )
    return stamp, [bytes.fromhex(digest) for digest in digests]


def _event_id(headers: Mapping[str, str]) -> str:
    value = headers.get(EVENT_ID, "")
    if not _EVENT_ID.fullmatch(value):
        raise AlvysSignatureError(
            "The webhook's delivery has no X-Alvys-Event-Id that could be signed", reason="malformed"
        )
    return value


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers by their names in lower case; of one that stands there in two spellings neither."""
    named: dict[str, list[str]] = {}
    for name, value in headers.items():
        named.setdefault(name.lower(), []).append(value.strip(" \t"))
    return {name: values[0] for name, values in named.items() if len(values) == 1}


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        read = decode_row(body)
    # The last: an exponent that no Decimal holds.
    except (ValueError, RecursionError, ArithmeticError):
        read = None
    if not isinstance(read, dict):
        raise AlvysWebhookError("The webhook's delivery is no JSON object")
    return read


def _object(holder: Mapping[str, Any] | None, name: str) -> Mapping[str, Any] | None:
    found = (holder or {}).get(name)
    return found if isinstance(found, dict) else None


def _text(value: Any) -> str | None:
    """Return a text, or a whole number as one; None for anything else and for an empty one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _first_text(*places: tuple[Mapping[str, Any] | None, str]) -> str | None:
    return next((text for holder, name in places if (text := _text((holder or {}).get(name)))), None)


def _change(item: Mapping[str, Any]) -> Change:
    target = _object(item, "target") or {}
    return Change(_text(item.get("kind")) or "", _text(target.get("type")), _text(target.get("id")))

"""
Webhook deliveries: the signature check, the handshake, and typed events.

Pass the body byte for byte as it arrived: a body that is decoded and encoded again has another signature.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from airflow_provider_alvys.api.errors import AlvysWebhookError
from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.api.schema.values import make_converter
from airflow_provider_alvys.api.webhook_signatures import (
    DOCUMENTED_BASE,
    EVENT_ID,
    SIGNATURE,
    TIMESTAMP,
    TOLERANCE,
    Base,
    Secrets,
    check_headers,
    normalize_headers,
    verify_signature,
)

__all__ = [
    "ATTEMPT",
    "CHALLENGE",
    "DOCUMENTED_BASE",
    "EVENT",
    "EVENT_ID",
    "SIGNATURE",
    "TIMESTAMP",
    "TOLERANCE",
    "VERIFICATION",
    "AlvysEvent",
    "Base",
    "Challenge",
    "Change",
    "Secrets",
    "answer_challenge",
    "check_headers",
    "is_handshake",
    "make_event",
    "parse_event",
    "receive",
    "verify_signature",
]

EVENT = "x-alvys-event"
ATTEMPT = "x-alvys-attempt"
CHALLENGE = "x-alvys-challenge"
VERIFICATION = "webhook.verification"
# Anyone can send a handshake; to parse a large one would block an event loop.
MAX_HANDSHAKE_BYTES = 32 * 1024

_ATTEMPT = re.compile(r"[0-9]{1,4}", re.ASCII)
_MAX_CHALLENGE_CHARS = 4096

_read_time = make_converter("time")


@dataclass(frozen=True)
class Challenge:
    """
    A handshake: Alvys checks that the address is ours when a webhook is enabled or its address changes.

    :param challenge: the text to send back.
    """

    challenge: str

    @property
    def answer(self) -> dict[str, str]:
        """The JSON body to answer with, with status 200 and within three seconds."""
        return {"challenge": self.challenge}


@dataclass(frozen=True)
class Change:
    """
    A change to a record.

    :param kind: kind of change, as Alvys names it; it may add kinds to
        ``airflow_provider_alvys.api.catalogue.webhook_events.CHANGE_KINDS``.
    :param target_type: what was changed, such as ``Stop`` or ``Field``; None for the record itself.
    :param target_id: id of the target; None if Alvys gives none.
    """

    kind: str
    target_type: str | None = None
    target_id: str | None = None


@dataclass(frozen=True)
class AlvysEvent:
    """
    An event in Alvys.

    :param key: identifies the event: the same at each delivery attempt, different for any other event.
    :param type: such as ``load.status.changed``.
    :param id: id in the envelope, or None.
    :param timestamp: time of the event as Alvys writes it, with seven digits after the second, or None.
    :param version: of the envelope, as Alvys writes it, or None.
    :param etag: of a document, or None.
    :param data: content of the event: numbers with a fraction are Decimal, names are in camelCase.
    :param attempt: number of the delivery attempt, from 1. It is not signed.
    :param envelope: the complete body, with fields that have no attribute here.
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
        """Time of the event in UTC, to the microsecond; None if missing or not valid."""
        found = _read_time(self.timestamp)
        # A datetime has no seventh digit.
        return datetime.fromisoformat(found[0][:26]).replace(tzinfo=timezone.utc) if found else None

    @property
    def entity_type(self) -> str:
        """Kind of record: ``load``, ``trip``, ``tender``; for a document event, the kind of its parent."""
        return self.type.partition(".")[0]

    @property
    def entity_id(self) -> str | None:
        """Id of the record; for a document event, of the parent. None if the event has none."""
        name = self.entity_type
        document = self.document
        last = (self.data, "id") if document is None else (document, "parentId")
        return _first_text((_object(self.data, name), "id"), (self.data, f"{name}Id"), last)

    @property
    def entity_number(self) -> str | None:
        """Number of the record, such as a load's; None if the event has none."""
        name = f"{self.entity_type}Number"
        return _first_text((_object(self.data, self.entity_type), name), (self.data, name))

    @property
    def record(self) -> Mapping[str, Any] | None:
        """The load or trip after the event, with the fields of a lookup; None if the event has none."""
        return _object(self.data, self.entity_type)

    @property
    def document(self) -> Mapping[str, Any] | None:
        """The document of a document event, without a URL once it is deleted; None for other events."""
        return _object(self.data, "document")

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes. Often empty: a load is saved again whenever its trip is."""
        found = (_object(self.data, "diff") or {}).get("changes")
        listed = found if isinstance(found, list) else []
        return tuple(_parse_change(item) for item in listed if isinstance(item, dict))

    @property
    def change_types(self) -> tuple[str, ...]:
        """What a change tender changes, as Alvys names it, such as ``LoadRate``; else empty."""
        found = self.data.get("changeTypes")
        return tuple(item for item in found if isinstance(item, str)) if isinstance(found, list) else ()

    @property
    def is_queued(self) -> bool:
        """Whether a change tender awaits approval: then the event has the tender before the change."""
        return self.data.get("queuedForReview") is True

    @property
    def reason(self) -> str | None:
        """Reason of an event of a tender's stop, or None."""
        # Alvys's documents have either name.
        return _first_text((self.data, "reason"), (self.data, "statusReason"))

    @property
    def previous_attributes(self) -> Mapping[str, Any] | None:
        """Values of the changed fields before the event; None unless the webhook asks for them."""
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
    Return what was delivered to a webhook: a handshake, or an event that Alvys signed.

    A repeated delivery, from Alvys or from an eavesdropper, has the same key: see
    :class:`~airflow_provider_alvys.api.replays.ReplayGuard`.

    :param headers: of the request; names in any case.
    :param body: of the request, byte for byte.
    :param secrets: the webhook's secret; give both while it rotates.
    :param now: seconds since 1970; None means the system clock.
    :param tolerance: seconds that the signature's time may differ from ``now``.
    :param base: the signed bytes, ``t.id.body`` or ``t.body``.
    :return: the handshake, whose ``answer`` to send back, or the event.
    :raises AlvysSignatureError: no valid or recent signature. Answer with its ``status_code``, 401.
    :raises AlvysWebhookError: not an event and not a handshake. Answer with its ``status_code``, 400.
    :raises AlvysValueError: no secret is given.
    """
    challenge = answer_challenge(headers, body)
    if challenge is not None:
        return Challenge(challenge["challenge"])
    verify_signature(headers, body, secrets, now=now, tolerance=tolerance, base=base)
    return parse_event(headers, body, base=base)


def is_handshake(headers: Mapping[str, str]) -> bool:
    """
    Return whether a delivery is a handshake, by its headers: Alvys's documents differ about its body.

    :param headers: of the request; names in any case.
    :return: True for a handshake.
    """
    return normalize_headers(headers).get(EVENT) == VERIFICATION


def answer_challenge(headers: Mapping[str, str], body: bytes) -> dict[str, str] | None:
    """
    Return the JSON body that answers Alvys's handshake; None if the delivery is not a handshake.

    A handshake is not signed. Anyone can send one, and learns nothing from the answer.

    :param headers: of the request; names in any case.
    :param body: of the request, byte for byte.
    :return: ``{"challenge": "…"}``, or None.
    :raises AlvysWebhookError: the handshake has no challenge, two different ones, or is too large.
    """
    given = normalize_headers(headers)
    if not is_handshake(given):
        return None
    if len(body) > MAX_HANDSHAKE_BYTES:
        raise AlvysWebhookError(f"The handshake is too large: {len(body)} bytes")
    sent = _decode_object(body)
    # Alvys documents the challenge in both header and body; one of them is enough.
    challenges = [one for one in (given.get(CHALLENGE) or None, sent.get("challenge")) if one is not None]
    challenge = challenges[0] if challenges and challenges.count(challenges[0]) == len(challenges) else None
    if not isinstance(challenge, str) or not 0 < len(challenge) <= _MAX_CHALLENGE_CHARS:
        raise AlvysWebhookError("The handshake has no challenge, or different ones in header and body")
    return {"challenge": challenge}


def parse_event(headers: Mapping[str, str], body: bytes, *, base: Base = DOCUMENTED_BASE) -> AlvysEvent:
    """
    Return the event of a delivery, without a check of its signature.

    The key is ``X-Alvys-Event-Id``, or else the id in the envelope. If that header is not signed, a sender
    could change it: then the key is the id in the envelope, or else a digest of the body.

    :param headers: of the request; names in any case.
    :param body: of the request, byte for byte.
    :param base: the signed bytes, ``t.id.body`` or ``t.body``.
    :return: the event.
    :raises AlvysWebhookError: the body is not a JSON object with a type, or nothing identifies the event.
    """
    given = normalize_headers(headers)
    envelope = _decode_object(body)
    id = _as_text(envelope.get("id"))
    key = (given.get(EVENT_ID) or id) if base == "t.id.body" else (id or hashlib.sha256(body).hexdigest())
    attempt = given.get(ATTEMPT, "")
    return make_event(envelope, key=key, attempt=int(attempt) if _ATTEMPT.fullmatch(attempt) else None)


def make_event(
    envelope: Mapping[str, Any], *, key: str | None = None, attempt: int | None = None
) -> AlvysEvent:
    """
    Return the event of a decoded envelope, such as a payload that a receiver stored.

    :param envelope: the decoded JSON object.
    :param key: identifies the event; None means the id in the envelope.
    :param attempt: number of the delivery attempt, from 1; None if it is unknown.
    :return: the event.
    :raises AlvysWebhookError: the envelope has no type, or nothing identifies the event.
    """
    type = envelope.get("type")
    if not isinstance(type, str) or not type:
        raise AlvysWebhookError("The delivery is not a valid Alvys event: it has no type")
    id = _as_text(envelope.get("id"))
    key = key or id
    if key is None:
        raise AlvysWebhookError("The delivery has no id, neither in X-Alvys-Event-Id nor in its envelope")
    return AlvysEvent(
        key=key,
        type=type,
        id=id,
        timestamp=_as_text(envelope.get("timestamp")),
        version=_as_text(envelope.get("version")),
        etag=_as_text(envelope.get("etag")),
        data=_object(envelope, "data") or {},
        attempt=attempt,
        envelope=envelope,
    )


def _decode_object(body: bytes) -> dict[str, Any]:
    try:
        read = decode_row(body)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise AlvysWebhookError("The delivery is not a JSON object")
    return read


def _object(holder: Mapping[str, Any] | None, name: str) -> Mapping[str, Any] | None:
    found = (holder or {}).get(name)
    return found if isinstance(found, dict) else None


def _as_text(value: Any) -> str | None:
    """Return a text or an integer as text; None for an empty text or anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _first_text(*places: tuple[Mapping[str, Any] | None, str]) -> str | None:
    return next((text for holder, name in places if (text := _as_text((holder or {}).get(name)))), None)


def _parse_change(item: Mapping[str, Any]) -> Change:
    target = _object(item, "target") or {}
    return Change(_as_text(item.get("kind")) or "", _as_text(target.get("type")), _as_text(target.get("id")))

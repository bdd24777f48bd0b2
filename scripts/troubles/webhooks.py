"""Webhooks."""

from __future__ import annotations

import time
from typing import Any

from airflow_provider_alvys.api.webhooks import receive
from scripts.troubles.bench import Bench

_EVENT = {"X-Alvys-Event": "load.changed", "X-Alvys-Event-Id": "e-1"}


def _signed(bench: Bench, *, age: float = 0.0, secret: str = "the-secret", body: bytes = b"{}") -> Any:
    import hashlib
    import hmac

    stamp = str(int(time.time() - age))
    signed = b".".join([stamp.encode(), b"e-1", body])
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    headers = {**_EVENT, "X-Alvys-Timestamp": stamp, "X-Alvys-Signature": f"t={stamp},v1={digest}"}
    return receive(headers, body, "the-secret")


def wrong_secret(bench: Bench) -> Any:
    """
    A delivery is signed with another secret: the webhook's secret was rotated, or the delivery is forged.

    Set the secret that Alvys shows for this webhook. While it rotates, give the old and the new one.
    """
    return _signed(bench, secret="another")


def no_signature(bench: Bench) -> Any:
    """
    A delivery has no signature: it is not from Alvys, or a proxy removes its headers.

    Let the headers `X-Alvys-*` pass.
    """
    return receive(_EVENT, b"{}", "the-secret")


def replayed(bench: Bench) -> Any:
    """
    A delivery is old: a replay, or the clock of the receiver is wrong.

    Synchronise the clock of the machine.
    """
    return _signed(bench, age=900)


def in_the_future(bench: Bench) -> Any:
    """
    A delivery is from the future: the clock of the receiver is wrong.

    Synchronise the clock of the machine.
    """
    return _signed(bench, age=-900)


def no_secret(bench: Bench) -> Any:
    """
    The receiver has no secret.

    Set it; see [Webhooks](webhooks.md).
    """
    return receive(_EVENT, b"{}", "")


def no_event(bench: Bench) -> Any:
    """
    A signed delivery is not an event.

    If Alvys has sent it, report it. The receiver has answered 400, so Alvys does not send it again.
    """
    return _signed(bench, body=b"[]")

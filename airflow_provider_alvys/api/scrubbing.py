"""Removal of secrets from text of a server, before it reaches an error, a log or Airflow's database."""

from __future__ import annotations

import html
import json
import re
import threading
from base64 import b64encode, urlsafe_b64encode
from itertools import groupby
from operator import itemgetter
from string import ascii_lowercase, ascii_uppercase
from typing import Any
from urllib.parse import quote

MASK = "***"
MAX_CHARS = 500
MAX_MESSAGE_CHARS = 2000

# Shorter ones are not secrets. Those of fewer than _PART_CHARS are masked as whole words only.
_MIN_SECRET_CHARS = 4
# A part of a secret is masked from this length on, if it begins at a position that is looked at.
_PART_CHARS = 8
_STEP = 4
# Secrets that a process remembers: the oldest tokens have expired.
_MAX_SECRETS = 512
_CREDENTIALS = re.compile(r"\b(bearer|basic)(?:[\s:=+]|%20|\\u0020)+[^\s\"'<>,;&]+", re.IGNORECASE)
_JWT = re.compile(r"(?<![A-Za-z0-9])eyJ[\w-]{5,}(?:\.[\w-]*)*", re.ASCII)
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)

# Maps each secret to the spellings in which a server may send it back.
_secrets: dict[str, frozenset[str]] = {}
# All of these spellings; a text may be scrubbed for every row, a secret is new once an hour.
_known: tuple[str, ...] = ()
_lock = threading.Lock()


def remember_secret(secret: str) -> None:
    """Have :func:`scrub` mask this secret from now on, in this process."""
    global _known
    if len(secret) < _MIN_SECRET_CHARS:
        return
    with _lock:
        spellings = _secrets.pop(secret, None)
        # Put at the end again: the first one is forgotten.
        _secrets[secret] = spellings or _spellings(secret)
        if spellings:
            return
        if len(_secrets) > _MAX_SECRETS:
            del _secrets[next(iter(_secrets))]
        _known = tuple(spelling for spellings in _secrets.values() for spelling in spellings)


def scrub(text: str, max_chars: int = MAX_CHARS) -> str:
    """
    Return text of a server on one line, without secrets and control characters, truncated if long.

    Masked are the secrets of this process, also in parts, URL-encoded, escaped, in base64 or in hex; and
    whatever looks like a token or like the value of an Authorization header.
    """
    # Two secrets of the usual length may stand in what is kept.
    text = "".join(char for char in text[: max_chars + 8192] if char.isprintable() or char.isspace())
    text = _mask_known(_JWT.sub(MASK, _CREDENTIALS.sub(rf"\1 {MASK}", " ".join(text.split()))))
    return text if len(text) <= max_chars else text[:max_chars] + "…"


def mask_secrets(value: Any) -> Any:
    """Return a value, such as a dict of rows, with the secrets of this process masked in all its texts."""
    if isinstance(value, dict):
        return {name: mask_secrets(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask_secrets(item) for item in value]
    if not isinstance(value, str):
        return value
    lower = value.translate(_LOWER)
    is_secret = any(spelling in lower for spelling in _known)
    text = _JWT.sub(MASK, value)
    return _mask_known(text) if is_secret else text


def _mask_known(text: str) -> str:
    spellings = _known
    known = "\n".join(spellings)
    lower = text.translate(_LOWER)
    is_secret = bytearray(len(text))
    for short in (spelling for spelling in spellings if len(spelling) < _PART_CHARS + _STEP):
        pattern = re.escape(short)
        if len(short) < _PART_CHARS:
            pattern = rf"(?<!\w){pattern}(?!\w)"
        for found in re.finditer(pattern, lower):
            is_secret[found.start() : found.end()] = b"\1" * len(short)
    at = 0
    while at <= len(lower) - _PART_CHARS:
        start, end = at, at + _PART_CHARS
        if lower[start:end] not in known:
            at += _STEP
            continue
        while end < len(lower) and lower[start : end + 1] in known:
            end += 1
        while start and lower[start - 1 : end] in known:
            start -= 1
        is_secret[start:end] = b"\1" * (end - start)
        at = end
    runs = groupby(zip(is_secret, text, strict=True), key=itemgetter(0))
    return "".join(MASK if hidden else "".join(char for _, char in run) for hidden, run in runs)


def _spellings(secret: str) -> frozenset[str]:
    raw = secret.encode(errors="surrogatepass")
    escaped = json.dumps(secret)[1:-1]
    spellings = {secret, escaped, escaped.replace("/", "\\/"), html.escape(secret)}
    spellings |= {quote(raw, safe=""), raw.hex()}
    for shift in range(3):
        # Base64 of a longer text that contains the secret, without what depends on its neighbours.
        for encode in (b64encode, urlsafe_b64encode):
            encoded = encode(bytes(shift) + raw).decode()
            end = len(encoded) if (shift + len(raw)) % 3 == 0 else len(encoded.rstrip("=")) - 1
            spellings.add(encoded[(0, 2, 3)[shift] : end])
    return frozenset(text.translate(_LOWER) for text in spellings if len(text) >= _MIN_SECRET_CHARS)

"""What Airflow's Test button does: a token, one read of one row, and sentences about both."""

from __future__ import annotations

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream
from airflow_provider_alvys.api.errors import AlvysError
from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.http.auth import TOKEN_ENDPOINT, TokenSource
from airflow_provider_alvys.api.http.pacing import Pacer
from airflow_provider_alvys.api.http.retries import ONE_ATTEMPT
from airflow_provider_alvys.api.read.queries import make_queries
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.api.scrubbing import MAX_MESSAGE_CHARS, scrub
from airflow_provider_alvys.hooks.settings import ConnectionSettings, make_client

# Seconds to connect, and to wait for bytes.
_TIMEOUT = (5.0, 10.0)


def check_settings(settings: ConnectionSettings) -> tuple[bool, str]:
    """
    Get a new token and read one row, without waiting. Two requests, or three after a token that is refused.

    :return: whether it worked, and what worked or what to change. A token that can read some of the streams
        with a tier works; the sentence names the others.
    """
    try:
        client = make_client(
            settings,
            token_source=TokenSource(settings.credentials),
            pacer=Pacer(0),
            timeout=_TIMEOUT,
            retry_rules=ONE_ATTEMPT,
        )
        scopes = client.scopes
        stream = _readable_stream(scopes)
        if stream is None:
            return False, (
                "Alvys issued a token, but with no scope that a sync reads with: it lacks "
                f"{_missing(scopes)}. {_held(scopes)} Grant scopes to this API client in Alvys."
            )
        total = Search(client, stream, make_queries(stream, {})[:1]).count()
    except AlvysError as error:
        has_token = error.endpoint not in (None, TOKEN_ENDPOINT)
        return False, f"{'Alvys issued a token, but: ' if has_token else ''}{error}"
    sentences = [
        f"Alvys issued a token and answered at {client.host}: {counted(total, stream.name)}.",
        _describe_scopes(scopes),
        *settings.warnings,
    ]
    return True, " ".join(sentences)


def _readable_stream(scopes: frozenset[str] | None) -> Stream | None:
    """Return the first stream with a tier that can be counted, and that the token may read."""
    return next(
        (
            stream
            for stream in STREAMS.values()
            if stream.tiers and stream.response_type == "page" and stream.full_read and not stream.parent
            if stream.scope and (scopes is None or stream.scope in scopes)
        ),
        None,
    )


def _describe_scopes(scopes: frozenset[str] | None) -> str:
    if scopes is None:
        return (
            "Alvys does not list the token's scopes: python -m airflow_provider_alvys plan names those that "
            "are missing."
        )
    missing = _missing(scopes)
    if not missing:
        return "The token has the scopes of all streams that syncs read by default."
    return (
        f"The token lacks {missing}: syncs of these streams fail. Grant the scopes to this API client in "
        f"Alvys, or sync other streams only. {_held(scopes)}"
    )


def _missing(scopes: frozenset[str] | None) -> str:
    """Return the scopes that streams with a tier need and the token lacks, each with its streams."""
    needed: dict[str, list[str]] = {}
    for stream in STREAMS.values():
        is_needed = stream.tiers and stream.scope_is_documented
        if is_needed and stream.scope and stream.scope not in (scopes or ()):
            needed.setdefault(stream.scope, []).append(stream.name)
    return ", ".join(f"{scope} ({', '.join(names)})" for scope, names in needed.items())


def _held(scopes: frozenset[str] | None) -> str:
    # The token's response names them.
    return f"It has {scrub(', '.join(sorted(scopes or ())), MAX_MESSAGE_CHARS) or 'no scopes'}."

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_alvys.api.errors import (
    AlvysAuthError,
    AlvysConnectionError,
    AlvysResponseError,
    AlvysServerError,
    AlvysValueError,
)
from airflow_provider_alvys.api.http import auth
from airflow_provider_alvys.api.http.auth import DEFAULT_AUTH_URL, make_credentials
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import SkippingClock, StoppedClock, make_client
from tests.recorder import Recorder


def tenant_client(
    alvys: Simulator, clock: SkippingClock, tenant: str = "acme", auth_url: str | None = None
) -> AlvysClient:
    options = alvys.options
    credentials = make_credentials(
        options.client_id, options.client_secret, host=alvys.url, tenant_id=tenant, auth_url=auth_url
    )
    return AlvysClient(credentials, host=alvys.url, clock=clock, requests_per_minute=0)


def test_the_current_flow_uses_auth0_with_the_audience() -> None:
    credentials = make_credentials("id", "secret")
    assert (credentials.auth_url, credentials.audience) == (DEFAULT_AUTH_URL, "https://api.alvys.com/public/")
    assert not credentials.is_tenant_flow


def test_the_tenant_flow_uses_the_host_without_an_audience() -> None:
    credentials = make_credentials(
        "id", "secret", host="https://integrations.alvys.com", tenant_id="acme", audience="ignored"
    )
    assert credentials.auth_url == "https://integrations.alvys.com/api/authentication/acme/token"
    assert credentials.is_tenant_flow


def test_an_auth_url_of_the_tenant_flow_selects_it() -> None:
    credentials = make_credentials("id", "secret", auth_url="https://host/api/p/authentication/acme/token")
    assert credentials.is_tenant_flow


def test_a_token_of_the_current_flow_has_scopes(alvys: Simulator, client: AlvysClient) -> None:
    assert "load:read" in (client.scopes or ())
    assert client.request("GET", "/v1/me").json()["ClientId"] == "simulator"
    assert alvys.stats()["tokens"] == 1


@pytest.mark.parametrize(
    "auth_url", [None, "/api/p/authentication/{tenant_id}/token", "/api/p/authentication/acme/token"]
)
def test_a_token_of_the_tenant_flow_lists_no_scopes(
    alvys: Simulator, clock: SkippingClock, auth_url: str | None
) -> None:
    client = tenant_client(alvys, clock, auth_url=auth_url and alvys.url + auth_url)
    assert client.scopes is None
    assert client.request("GET", "/v1/me").json()["Tenant"] == "acme"
    assert alvys.stats()["tokens"] == 1


def test_the_tenant_flow_sends_a_form(
    alvys: Simulator, clock: SkippingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []
    client = tenant_client(alvys, clock)
    send = client._transport._session.send
    monkeypatch.setattr(
        client._transport._session,
        "send",
        lambda request, **kwargs: sent.append(request) or send(request, **kwargs),
    )
    client.request("GET", "/v1/me")
    assert sent[0].headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert sent[0].body == "grant_type=client_credentials&client_id=simulator&client_secret=simulator-secret"
    assert sent[0].headers["User-Agent"].startswith("airflow-provider-alvys/")
    assert sent[1].headers["Authorization"].startswith("Bearer ")


def test_clients_with_the_same_credentials_share_a_token(alvys: Simulator, clock: SkippingClock) -> None:
    for _ in range(3):
        make_client(alvys, clock=clock).request("GET", "/v1/me")
    assert alvys.stats()["tokens"] == 1
    auth._sources.clear()
    make_client(alvys, clock=clock).request("GET", "/v1/me")
    assert alvys.stats()["tokens"] == 2


@pytest.mark.parametrize(("lifetime", "good_for"), [(3600, 3540), (65, 5), (60, 30), (2, 1)])
def test_a_token_is_renewed_a_minute_before_it_expires(
    alvys: Simulator, lifetime: float, good_for: float
) -> None:
    alvys.reset(loads=0, token_lifetime=lifetime)
    clock = StoppedClock()
    client = make_client(alvys, clock=clock)
    client.request("GET", "/v1/me")
    clock.now += good_for - 0.5
    client.request("GET", "/v1/me")
    assert alvys.stats()["tokens"] == 1
    clock.now += 1
    client.request("GET", "/v1/me")
    assert alvys.stats()["tokens"] == 2
    assert alvys.stats()["answers"] == {"200": 5}


def test_a_revoked_token_costs_one_401(alvys: Simulator, client: AlvysClient) -> None:
    client.request("GET", "/v1/me")
    alvys.order_faults({"kind": "revoke"})
    client.request("GET", "/v1/me")
    assert alvys.stats()["answers"] == {"200": 4, "401": 1}


def test_a_rejected_new_token_is_an_error(alvys: Simulator, client: AlvysClient) -> None:
    alvys.order_faults({"kind": "revoke", "times": 9})
    with pytest.raises(AlvysAuthError) as caught:
        client.request("GET", "/v1/me")
    assert (caught.value.endpoint, caught.value.status_code) == ("GET /v1/me", 401)
    assert alvys.stats()["answers"] == {"200": 2, "401": 2}


def test_the_error_of_a_wrong_secret_does_not_contain_it(alvys: Simulator, clock: SkippingClock) -> None:
    credentials = make_credentials("simulator", "not-the-secret", auth_url=f"{alvys.url}/oauth/token")
    client = AlvysClient(credentials, host=alvys.url, clock=clock)
    with pytest.raises(AlvysAuthError, match="client id and the client secret") as caught:
        client.request("GET", "/v1/me")
    assert (caught.value.endpoint, caught.value.status_code) == ("POST token", 401)
    assert "not-the-secret" not in str(caught.value) + repr(caught.value) + repr(client._tokens.credentials)
    assert clock.sleeps == []


def test_a_wrong_tenant_is_an_error(alvys: Simulator, clock: SkippingClock) -> None:
    with pytest.raises(AlvysAuthError, match="tenant id") as caught:
        tenant_client(alvys, clock, tenant="other").request("GET", "/v1/me")
    assert caught.value.status_code == 404


def test_a_token_endpoint_is_retried_after_a_temporary_failure(
    alvys: Simulator, client: AlvysClient, clock: SkippingClock
) -> None:
    alvys.order_faults(
        {"kind": "status", "status": 503, "endpoint": "POST token", "times": 2, "retry_after": "7"}
    )
    client.request("GET", "/v1/me")
    assert [7 <= seconds <= 8 for seconds in clock.sleeps] == [True, True]


def test_the_error_of_a_failing_token_endpoint_does_not_quote_its_body(
    alvys: Simulator, client: AlvysClient
) -> None:
    alvys.order_faults({"kind": "status", "status": 500, "endpoint": "POST token", "times": 99})
    with pytest.raises(AlvysServerError) as caught:
        client.request("GET", "/v1/me")
    assert (caught.value.endpoint, caught.value.status_code) == ("POST token", 500)
    assert "ordered by" not in str(caught.value)


def test_an_html_page_instead_of_a_token_is_an_error(alvys: Simulator, client: AlvysClient) -> None:
    alvys.order_faults({"kind": "html", "endpoint": "POST token", "times": 99})
    with pytest.raises(AlvysResponseError, match="auth_url"):
        client.request("GET", "/v1/me")


def test_an_unknown_token_host_is_an_error(clock: SkippingClock) -> None:
    credentials = make_credentials("id", "secret", auth_url="https://auth.alvys.invalid/oauth/token")
    client = AlvysClient(credentials, clock=clock)
    with pytest.raises(AlvysConnectionError, match="https://auth.alvys.invalid:443"):
        client.request("GET", "/v1/me")


@pytest.mark.parametrize(
    ("optional", "lifetime"),
    [
        ({}, 900),
        *(
            ({"expires_in": value}, 900)
            for value in (
                *(
                    None,
                    "",
                    " ",
                    "soon",
                    "3600 s",
                    "nan",
                    "inf",
                    "-inf",
                    "-5",
                    0,
                    -1,
                    True,
                    False,
                    [],
                    {},
                    [3600],
                ),
                *([[[]]], "0x10", "Infinity", "9" * 400),
            )
        ),
        *(({"expires_in": value}, 3600) for value in (3600, 3600.0, "3600", " 3600\n", "3.6e3")),
        *(({"expires_in": value}, 30 * 86400) for value in (1e300, 10**18, 10**40, "1e9")),
        *(({"token_type": value}, 900) for value in ("bearer", "BEARER", "", None, 7, ["Bearer"])),
        *(({"refresh_token": value, "scope": value}, 900) for value in (None, 1, {}, True)),
    ],
    ids=str,
)
def test_an_optional_field_of_any_form_leaves_the_token_valid(
    optional: dict[str, Any], lifetime: float, recorder: Recorder
) -> None:
    recorder.token = {"access_token": "t", **optional}
    clock = StoppedClock()
    client = recorder.client(clock)
    client.request("GET", "/v1/me")
    recorder.token = {"access_token": "second"}
    for seconds, token in ((lifetime - 60.5, "t"), (1, "second")):
        clock.now += seconds
        client.request("GET", "/v1/me")
        assert recorder.requests[-1].headers["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize(
    "number", [b"1e99999999999999999999", b"9" * 400, b"9" * 5000, b"1" + b"0" * 5000 + b".5"]
)
def test_a_hostile_number_in_an_optional_field_leaves_the_token_valid(
    number: bytes, recorder: Recorder, clock: SkippingClock
) -> None:
    recorder.token = b'{"expires_in":%b,"scope":%b,"other":%b,"access_token":"t"}' % (number, number, number)
    client = recorder.client(clock)
    client.request("GET", "/v1/me")
    assert client.scopes is None


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        ("load:read trip:read", {"load:read", "trip:read"}),
        (" load:read\n\ttrip:read ", {"load:read", "trip:read"}),
        (["load:read", "trip:read"], {"load:read", "trip:read"}),
        (["load:read trip:read", None, 7, ""], {"load:read", "trip:read"}),
        ("", None),
        ([], None),
        ([7], None),
        ({"load:read": True}, None),
    ],
)
def test_scopes_are_a_text_or_a_list(
    scope: Any, scopes: set[str] | None, recorder: Recorder, clock: SkippingClock
) -> None:
    recorder.token = {"access_token": "t", "scope": scope}
    assert recorder.client(clock).scopes == scopes


@pytest.mark.parametrize(
    "body",
    [b'\xef\xbb\xbf{"access_token":"t"}', b'\n {"access_token":" t\\r\\n"} \n'],
    ids=["a byte order mark", "white space"],
)
def test_a_token_is_found_behind_invisible_characters(
    body: bytes, recorder: Recorder, clock: SkippingClock
) -> None:
    recorder.token = body
    recorder.client(clock).request("GET", "/v1/me")
    assert recorder.requests[0].headers["authorization"] == "Bearer t"


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b'{"access_token":null}', b'{"access_token":""}', b'{"access_token":["t"]}',
     b'{"access_token":"a b"}', b'{"access_token":"\xff"}', b'{"access_token":"t","x":' + b"[" * 100_000],
)  # fmt: skip
def test_a_response_without_a_usable_token_is_an_error(
    body: bytes, recorder: Recorder, clock: SkippingClock
) -> None:
    recorder.token = body
    with pytest.raises(AlvysResponseError, match="auth_url"):
        recorder.client(clock).request("GET", "/v1/me")


@pytest.mark.parametrize("edge", ["\n", "\r\n", " ", "\t", "\ufeff", "\u200b", "\xa0"])
def test_credentials_lose_what_a_copied_text_has_at_its_ends(edge: str) -> None:
    credentials = make_credentials(
        f"{edge}id{edge}", f"{edge}a secret{edge}", auth_url=f"{edge}https://h/t{edge}"
    )
    assert credentials == make_credentials("id", "a secret", auth_url="https://h/t")
    with pytest.raises(AlvysValueError, match="no client secret"):
        make_credentials("id", edge)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        pytest.param({"client_id": "", "client_secret": "x"}, "client id", id="no id"),
        pytest.param({"client_id": "x", "client_secret": None}, "client secret", id="no secret"),
        pytest.param(
            {"auth_url": "https://h/authentication/{tenant_id}/token"},
            "no tenant_id",
            id="no tenant to put in",
        ),
        pytest.param({"auth_url": "https://h h/token"}, "auth_url=", id="a space in the host"),
        pytest.param({"tenant_id": "../x"}, "tenant_id=", id="a tenant that is a path"),
        pytest.param({"auth_url": "http://auth.example.com/token"}, "allow_http", id="plain http"),
        pytest.param({"auth_url": "ftp://auth.example.com/token"}, "auth_url=", id="another scheme"),
        pytest.param({"auth_url": "https://user@auth.example.com/token"}, "auth_url=", id="user info"),
    ],
)
def test_invalid_credentials_are_an_error_before_anything_is_sent(
    arguments: dict[str, str], names: str
) -> None:
    with pytest.raises(AlvysValueError, match=names):
        make_credentials(**{"client_id": "id", "client_secret": "secret", **arguments})


def test_plain_http_is_allowed_on_loopback_or_with_allow_http() -> None:
    for url in ("http://127.0.0.1:1/t", "http://localhost/t", "http://[::1]:8/t", "http://127.9.9.9/t"):
        assert make_credentials("id", "secret", auth_url=url).auth_url == url
    assert make_credentials("id", "secret", auth_url="http://alvys:8099/t", allow_http=True)

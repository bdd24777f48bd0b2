"""Responses to searches and lookups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_alvys.api.catalogue.streams import Lookup, Stream
from airflow_provider_alvys.simulator.data.row_set import RowSet
from airflow_provider_alvys.simulator.data.search_request import (
    SearchRequest,
    body_fields,
    parse_search,
    query_fields,
)
from airflow_provider_alvys.simulator.protocol.http import JSON_ERRORS, json_response, read_json
from airflow_provider_alvys.simulator.protocol.routes import path_names
from airflow_provider_alvys.simulator.tenant import Tenant


async def serve_search(stream: Stream, request: Request) -> Response:
    """Return a page, list or object of a stream."""
    tenant: Tenant = request.app.tenant
    names = path_names(request)
    _check_parent(tenant, stream, names)
    try:
        is_get = stream.method == "GET"
        query = request.query_params.multi_items()
        given = query_fields(stream, query) if is_get else body_fields(stream, await read_json(request))
    except JSON_ERRORS:
        raise HTTPException(400, "The body is not valid JSON.") from None
    search, errors = parse_search(stream, given)
    if errors:
        return json_response(errors, 400)
    if names:
        search = replace(search, parents=tuple(names[:1]))
    response = _search_response(tenant, tenant.rows(stream.name), stream, search)
    if stream.response_type == "page":
        tenant.apply_mutations(stream, search)
    return response


async def serve_lookup(stream: Stream, lookup: Lookup, request: Request) -> Response:
    """Return one record."""
    tenant: Tenant = request.app.tenant
    rows = tenant.rows(stream.name)
    query = {name.lower(): text for name, text in request.query_params.multi_items()}
    if lookup.one_of:
        given = [
            (column, query[name.lower()]) for name, column in lookup.one_of.items() if query.get(name.lower())
        ]
        if len(given) != 1:
            error = ["Exactly one search parameter must be provided."]
            return json_response(dict.fromkeys(lookup.one_of, error), 400)
        number = rows.number_of(*given[0])
    else:
        *parents, key = path_names(request)
        _check_parent(tenant, stream, parents)
        among = rows.children_of(parents) if parents else rows.numbers()
        number = next((number for number in among if rows.key(number) == key), None)
    shown = {name.lower() for name in lookup.options if query.get(name.lower(), "").lower() == "true"}
    hidden = {name.lower() for name in lookup.options} - shown
    hiding = [filter.unhides for filter in stream.filters if filter.unhides and filter.name.lower() in hidden]
    if number is None or any(rows.column(name)[number] for name in hiding):
        raise HTTPException(404, "No such record.")
    response = _json(tenant, rows.record_json(number, with_tombstone=bool(shown)))
    response.headers["etag"] = f'"{rows.etag(number)}"'
    return response


def _check_parent(tenant: Tenant, stream: Stream, names: list[str]) -> None:
    if names and stream.parent:
        parents = tenant.rows(stream.parent.stream)
        if parents.number_of(stream.parent.column, names[0]) is None:
            raise HTTPException(404, "No such record.")


def _search_response(tenant: Tenant, rows: RowSet, stream: Stream, search: SearchRequest) -> Response:
    found = rows.find(stream, search)
    with_tombstone = any(
        search.filters.get(filter.name) is True for filter in stream.filters if filter.unhides
    )

    def texts(numbers: Iterable[int]) -> bytes:
        found = ((number, rows.record_json(number, with_tombstone=with_tombstone)) for number in numbers)
        return b",".join(tenant.storage.with_download_url(rows, number, text) for number, text in found)

    if stream.response_type == "object":
        if not found:
            raise HTTPException(404, "No such record.")
        return _json(tenant, texts(found[:1]))
    if stream.is_list_search and not found and tenant.options.empty_list == "404":
        raise HTTPException(404, "Nothing found.")
    if stream.response_type == "list":
        return _json(tenant, b"[%b]" % texts(found))
    size = min(search.page_size, tenant.page_size_cap or search.page_size)
    first = search.page * size
    if search.page > 0 and first >= len(found):
        raise HTTPException(404, "No such page.")
    shown_size = search.page_size if tenant.options.page_size_cap_is_silent else size
    items = texts(found[first : first + size])
    page = (search.page, shown_size, len(found), items)
    return _json(tenant, b'{"Page":%d,"PageSize":%d,"Total":%d,"Items":[%b]}' % page)


def _json(tenant: Tenant, text: bytes) -> Response:
    return json_response(_pretty(text) if tenant.options.pretty else text)


def _pretty(text: bytes) -> bytes:
    """Return indented JSON. msgspec cannot format a lone surrogate."""
    try:
        return msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:
        return text.replace(b'":{', b'":\r\n {').replace(b"},{", b"},\n{")

"""What is answered to a call of the catalogue: pages, lists, objects and single records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from airflow_provider_alvys.api.streams import Lookup, Stream
from airflow_provider_alvys.simulator.http import UNREADABLE, Answer, Request, json_answer, problem
from airflow_provider_alvys.simulator.questions import Question, read_body, read_query, understand
from airflow_provider_alvys.simulator.routes import Match
from airflow_provider_alvys.simulator.rows import RowSet
from airflow_provider_alvys.simulator.tenant import Tenant


def answer_search(tenant: Tenant, request: Request, match: Match, stream: Stream) -> Answer:
    """Answer a call that reads a stream."""
    rows = tenant.rows(stream.name)
    if _is_orphan(tenant, stream, match.names):
        return problem(404, "There is no such record.")
    try:
        given = read_query(stream, request.pairs) if stream.method == "GET" else read_body(stream, request.json())
    except UNREADABLE:
        return problem(400, "The body is no JSON.")
    question, errors = understand(stream, given)
    if errors:
        return json_answer(errors, 400)
    if match.names:
        question = replace(question, parents=tuple(match.names[:1]))
    answer = _answer(tenant, rows, stream, question, request.base)
    if stream.answer == "page":
        tenant.mutate(stream, question)
    return answer


def answer_lookup(tenant: Tenant, request: Request, match: Match, stream: Stream, lookup: Lookup) -> Answer:
    """Answer a call that reads one record."""
    rows = tenant.rows(stream.name)
    query = {name.lower(): text for name, text in request.pairs}
    if lookup.one_of:
        given = [(column, query[name.lower()]) for name, column in lookup.one_of.items() if query.get(name.lower())]
        if len(given) != 1:
            return json_answer({name: ["Exactly one search parameter must be provided."] for name in lookup.one_of}, 400)
        number = rows.number_of(*given[0])
    else:
        *parents, key = match.names
        if _is_orphan(tenant, stream, parents):
            return problem(404, "There is no such record.")
        among = rows.of(parents) if parents else rows.numbers()
        number = next((number for number in among if rows.key(number) == key), None)
    shown = {name.lower() for name in lookup.options if query.get(name.lower(), "").lower() == "true"}
    hidden = {name.lower() for name in lookup.options} - shown
    hiding = [filter.reveals for filter in stream.filters if filter.reveals and filter.name.lower() in hidden]
    if number is None or any(rows.column(name)[number] for name in hiding):
        return problem(404, "There is no such record.")
    text = rows.text(number, with_tombstone=bool(shown))
    answer = _json(tenant, text)
    answer.headers["etag"] = f'"{rows.etag(number)}"'
    return answer


def _is_orphan(tenant: Tenant, stream: Stream, names: list[str]) -> bool:
    """Return whether a path names a parent that there is not."""
    if not names or stream.parent is None:
        return False
    return tenant.rows(stream.parent.stream).number_of(stream.parent.column, names[0]) is None


def _answer(tenant: Tenant, rows: RowSet, stream: Stream, question: Question, base: str) -> Answer:
    found = rows.find(stream, question)
    with_tombstone = any(question.filters.get(filter.name) is True for filter in stream.filters if filter.reveals)

    def texts(numbers: Iterable[int]) -> bytes:
        found = ((number, rows.text(number, with_tombstone=with_tombstone)) for number in numbers)
        return b",".join(tenant.storage.complete(rows, number, text, base, is_seen=True) for number, text in found)

    if stream.answer == "object":
        return _json(tenant, texts(found[:1])) if found else problem(404, "There is no such record.")
    if stream.answer == "list":
        return _json(tenant, b"[%b]" % texts(found))
    size = min(question.page_size, tenant.page_size_cap or question.page_size)
    first = question.page * size
    if question.page > 0 and first >= len(found):
        return problem(404, "There is no such page.")
    shown_size = question.page_size if tenant.options.page_size_cap_is_silent else size
    items = texts(found[first : first + size])
    return _json(tenant, b'{"Page":%d,"PageSize":%d,"Total":%d,"Items":[%b]}' % (question.page, shown_size, len(found), items))


def _json(tenant: Tenant, text: bytes) -> Answer:
    return Answer(200, _pretty(text) if tenant.options.pretty else text)


def _pretty(text: bytes) -> bytes:
    """Return JSON over several lines. msgspec cannot where half an emoji is in it."""
    try:
        return msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:
        return text.replace(b'":{', b'":\r\n {').replace(b"},{", b"},\n{")

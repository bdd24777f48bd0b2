"""
Write ``docs/reference/streams.md`` from the catalogue. ``make docs`` calls this; a test fails while the page is not current.

    python -m scripts.write_streams_page docs/reference/streams.md
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Branch, Stream, Tier, TimeWindow

_HEAD = """\
# Streams

<!-- Written by `make docs` from the catalogue in airflow_provider_alvys/api/catalogue. Do not edit. -->

A stream is a kind of record that you can read from Alvys. Use its name to

- land its rows in files: `AlvysToObjectStorageOperator(stream="loads", …)`;
- sync several streams: `alvys_sync(streams=["loads", "trips"], …)`, or all streams of a tier: `alvys_sync(tier="hourly", …)`;
- read a few rows in Python: `hook.search("loads", {{"LoadNumbers": ["1001"]}})`.

## What a sync reads

The column *each sync reads* has the stream's default window:

- *changes since the cursor*: rows with a change after the last run. The cursor is the saved position of the last run.
- *dates from … to …*: rows by a date that may arrive late or be in the future. Each run reads whole UTC days again: from some days
  before the cursor (`-45 d`) to some days after now (`+1 d`).
- *all rows*: no time field shows what has changed. There is no cursor.
- *several searches*: their rows together, without duplicates.
- *for each parent*: one request for each row of another stream, by default for the recent ones.

To read another window, see [Read a time range](#read-a-time-range).

| stream | one row is | each sync reads | key | tier | requests per sync (limit per minute) | scope |
|---|---|---|---|---|---|---|
{streams}

- **Tier**: how often a company with some hundred trucks syncs the stream. A *sweep* reads known rows again to find changes and deletes
  that a sync did not notice. Streams without a tier are read only if you name them.
- **Requests**: *n* is the number of rows in the window, divided by the page size and rounded up. The number in brackets is the
  documented rate limit per minute.
- **Scope**: what the token needs. Scopes in *italics* are inferred from similar calls, because no document names them.

## What to know about a stream

| stream | a row no longer changes | notes |
|---|---|---|
{notes}

## Read a time range

Set `window_by` to one of these windows, and `since` and `until` to its start and end. The default window is in **bold**.
`window_by="whole"` reads all rows. Alvys does not allow that for {no_full_read}.

Filters have Alvys's own names. An unknown filter is an error, because Alvys would ignore it and return all rows. So is a known one
that Alvys ignores; it is ~~struck through~~.

| stream | `window_by` and its field | filters | `hook.get` finds one record by |
|---|---|---|---|
{windows}

## Values of filters

{values}
"""


def page() -> str:
    """Return the page's text."""
    streams = STREAMS.values()
    return _HEAD.format(
        streams="\n".join(map(_row, streams)),
        notes="\n".join(
            _cells(f"`{stream.name}`", stream.final_when or "-", f"{'. '.join(stream.notes)}.")
            for stream in streams
            if stream.notes or stream.final_when
        ),
        no_full_read=", ".join(f"`{stream.name}`" for stream in streams if not stream.full_read),
        windows="\n".join(map(_windows_row, streams)),
        values="\n".join(
            f"- `{stream.name}`, `{filter.name}`: {', '.join(map(str, filter.values))}"
            for stream in streams
            for filter in stream.filters
            if filter.values
        ),
    )


def _cells(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _row(stream: Stream) -> str:
    return _cells(
        f"`{stream.name}`",
        _lower(stream.description),
        _default(stream),
        ", ".join(f"`{field}`" for field in stream.key) or "the complete row",
        ", ".join(_tier(tier) for tier in stream.tiers) or "-",
        f"{_requests(stream)} ({stream.limit.requests})",
        _scope(stream),
    )


def _windows_row(stream: Stream) -> str:
    windows = "<br>".join(_window(stream, window) for window in stream.windows) or "-"
    names = (f"~~`{filter.name}`~~" if filter.ignored else f"`{filter.name}`" for filter in stream.filters)
    filters = ", ".join(names) or "-"
    return _cells(f"`{stream.name}`", windows, filters, _lookup(stream))


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _scope(stream: Stream) -> str:
    if stream.scope is None:
        return "not documented"
    return f"`{stream.scope}`" if stream.scope_is_documented else f"*{stream.scope}*"


def _default(stream: Stream) -> str:
    if stream.is_child and stream.parent:
        return f"for each parent in `{stream.parent.stream}`, by `{stream.parent.column}`{_recent(stream)}"
    window = stream.window(None)
    if window is None:
        return "all rows"
    if window.branches:
        return "several searches: " + "; ".join(_branch(stream, branch) for branch in window.branches)
    of = f", for `{stream.parent.stream}`, {stream.parent.batch_size} per request" if stream.parent else ""
    return f"{'changes since the cursor by' if window.tracks_changes else 'dates by'} {_range(window)}{of}"


def _recent(stream: Stream) -> str:
    parent = stream.parent
    if parent is None or parent.recent_by is None:
        return ""
    where = "".join(f" and {field} {' or '.join(values)}" for field, values in parent.recent_where.items())
    return f"; by default with `{parent.recent_by}` in the last {parent.recent_days} days{where}"


def _branch(stream: Stream, branch: Branch) -> str:
    window = stream.window(branch.window) if branch.window else None
    only = ", ".join(f"{field} {_value(value)}" for field, value in branch.filters.items())
    if window is None or branch.unbounded:
        return f"all with {only}"
    return f"dates by {_range(window)}" + (f" with {only}" if only else "")


def _value(value: object) -> str:
    return " or ".join(map(str, value)) if isinstance(value, list) else str(value)


def _range(window: TimeWindow) -> str:
    back = f"-{_days(window.look_back)}" if window.look_back else ""
    ahead = (
        "no end" if window.look_ahead is None else f"+{_days(window.look_ahead)}" if window.look_ahead else ""
    )
    bounds = " to ".join(filter(None, [back, ahead]))
    return f"`{window.column}`{f' ({bounds})' if bounds else ''}"


def _days(length: timedelta) -> str:
    return f"{length.days} d" if length.days else f"{length.total_seconds() / 60:g} min"


def _tier(tier: Tier) -> str:
    how = []
    if tier.window:
        how.append(f"by `{tier.window}`" if tier.window != "whole" else "all rows")
    if tier.overlap:
        how.append(f"-{_days(tier.overlap)}")
    if tier.look_back:
        how.append(f"-{_days(tier.look_back)}")
    if tier.look_ahead:
        how.append(f"+{_days(tier.look_ahead)}")
    name = f"{tier.name} sweep" if tier.sweep else tier.name
    return f"{name} ({' '.join(how)})" if how else name


def _requests(stream: Stream) -> str:
    if stream.is_child:
        return "1 per parent" if stream.response_type != "page" else f"*n*/{stream.page_size} per parent"
    if stream.parent:
        return f"parents / {stream.parent.batch_size}"
    if stream.response_type != "page":
        return "1"
    window = stream.window(None)
    searches = len(window.branches) or 1 if window else len(stream.full_read)
    each = f"*n*/{stream.page_size}" + (
        "" if window and window.tracks_changes else ", + 1 if that is more than 1"
    )
    if any(
        filter.ignored and filter.name in branch.filters
        for filter in stream.filters
        for branch in stream.full_read
    ):
        # They return the same rows: each search except the first ends after a page.
        return f"{each}, + {searches - 1}"
    # A read of all rows is compared with a search that needs no list of statuses.
    control = ", + 2 to compare" if window is None and stream.control else ""
    # Each search except the last one checks its total once more.
    return f"{each}{control}" if searches == 1 else f"{searches} x ({each}) + {searches - 1}{control}"


def _window(stream: Stream, window: TimeWindow) -> str:
    if window.branches:
        text = f"`{window.name}`: several searches"
    else:
        text = f"`{window.name}`: `{window.column}`"
    return f"**{text}**" if window.name == stream.default_window else text


def _lookup(stream: Stream) -> str:
    lookup = stream.lookup
    if lookup is None:
        return "-"
    names = [part.partition("}")[0] for part in lookup.path.split("{")[1:]]
    by = " and ".join(f"`{name}`" for name in names) or " or ".join(f"`{name}`" for name in lookup.one_of)
    return by + "".join(f", optional `{name}`" for name in lookup.options)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())

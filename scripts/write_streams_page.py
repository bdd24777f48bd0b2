"""
Write ``docs/streams.md`` from the catalogue. ``make docs`` calls this; a test fails while the page is not current.

    python -m scripts.write_streams_page docs/streams.md
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream, Tier, TimeWindow

_HEAD = """\
# Streams: what can be read

<!-- Written by `make docs` from the catalogue in airflow_provider_alvys/api/catalogue. Do not edit. -->

A stream is something that Alvys lets one read: `AlvysToObjectStorageOperator(stream="loads", …)`, `hook.search("loads", …)`,
`alvys_sync(streams=["loads", …], …)`.

- **Window** is what a regular sync asks for. *Changes since the cursor*: a window that moves on with each run. *Business dates*
  are midnights that arrive late and ahead of time, so that whole UTC days are read again, from before the cursor to after now.
  *Whole*: nothing tells what changed, and everything is read each time. Other windows, listed below, are chosen with
  `window_by`; `window_by="whole"` reads a stream whole, whatever is regular (not {no_whole}: Alvys gives those by a window only).
- **Cursor** is what says where the next run begins; it is kept with the data. Streams that are read whole have none.
- **Tier** is how often a company of some hundred trucks wants it: `alvys_sync(tier="hourly")` takes the streams of that tier.
  A sweep reads again what is known, to find what has changed unseen or has gone. Streams without a tier are off unless named.
- **Cost** is the number of requests of one sync that nothing disturbs. *n* is the number of rows in the window, divided by the
  page and rounded up. In brackets, what the documented limit lets through in a minute.
- Scopes in *italics* are inferred from those of neighbouring calls: no document names them.
"""


def page() -> str:
    """Return the page's text."""
    no_whole = ", ".join(f"`{stream.name}`" for stream in STREAMS.values() if not stream.full_read)
    lines = [
        _HEAD.format(no_whole=no_whole),
        "| stream | a row is | scope | window | key | cursor | tier | cost | a row is final | notes |",
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    for stream in STREAMS.values():
        cells = (
            f"`{stream.name}`",
            _lower(stream.description),
            _scope(stream),
            _regular(stream),
            ", ".join(f"`{field}`" for field in stream.key) or "the whole row",
            _cursor(stream),
            ", ".join(_tier(tier) for tier in stream.tiers) or "-",
            f"{_cost(stream)} ({stream.limit.requests})",
            stream.final_when or "not known",
            ". ".join(stream.notes),
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines += ["", "## Windows and filters", ""]
    lines.append(
        "Filters are Alvys's own. A name that Alvys does not know is refused here: Alvys ignores it, and answers with every row."
    )
    lines += ["", "| stream | `window_by` | filters | look-up of one record |", "|---|---|---|---|"]
    for stream in STREAMS.values():
        windows = "<br>".join(_window(stream, window) for window in stream.windows) or "-"
        filters = ", ".join(f"`{filter.name}`" for filter in stream.filters) or "-"
        lines.append(f"| `{stream.name}` | {windows} | {filters} | {_lookup(stream)} |")
    lines += ["", "## Values of filters", ""]
    for stream in STREAMS.values():
        for filter in stream.filters:
            if filter.values:
                lines.append(f"- `{stream.name}`, `{filter.name}`: {', '.join(map(str, filter.values))}")
    return "\n".join(lines) + "\n"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _scope(stream: Stream) -> str:
    if stream.scope is None:
        return "not documented"
    return f"`{stream.scope}`" if stream.scope_is_documented else f"*{stream.scope}*"


def _regular(stream: Stream) -> str:
    if stream.is_child and stream.parent:
        return f"children of `{stream.parent.stream}`, named by `{stream.parent.column}`{_recent(stream)}"
    window = stream.window(None)
    if window is None:
        return "whole"
    if window.branches:
        parts = [
            _branch(stream, branch.window, whole=branch.unbounded, filters=dict(branch.filters))
            for branch in window.branches
        ]
        return "united: " + "; ".join(parts)
    kind = "changes since the cursor" if window.tracks_changes else "business dates"
    of = f", of `{stream.parent.stream}`, {stream.parent.batch_size} a request" if stream.parent else ""
    return f"{kind} by `{window.column}`{_reach(window)}{of}"


def _recent(stream: Stream) -> str:
    parent = stream.parent
    if parent is None or parent.recent_by is None:
        return ""
    where = "".join(f", {field} {' or '.join(values)}" for field, values in parent.recent_where.items())
    return f"; by default those with `{parent.recent_by}` in the last {parent.recent_days} days{where}"


def _branch(stream: Stream, name: str | None, *, whole: bool, filters: dict[str, object]) -> str:
    window = stream.window(name) if name else None
    only = ", ".join(f"{field} {_value(value)}" for field, value in filters.items())
    if window is None or whole:
        return f"all with {only}"
    return f"`{window.column}`{_reach(window)}" + (f" with {only}" if only else "")


def _value(value: object) -> str:
    return " or ".join(map(str, value)) if isinstance(value, list) else str(value)


def _reach(window: TimeWindow) -> str:
    back = f"-{_days(window.look_back)}" if window.look_back else ""
    ahead = (
        "without end"
        if window.look_ahead is None
        else f"+{_days(window.look_ahead)}"
        if window.look_ahead
        else ""
    )
    return f" ({' '.join(filter(None, [back, ahead]))})" if back or ahead else ""


def _days(length: timedelta) -> str:
    return f"{length.days} d" if length.days else f"{length.total_seconds() / 60:g} min"


def _cursor(stream: Stream) -> str:
    window = None if stream.is_child else stream.window(None)
    return f"`{window.name}`" if window else "-"


def _tier(tier: Tier) -> str:
    how = []
    if tier.window:
        how.append(f"by `{tier.window}`" if tier.window != "whole" else "whole")
    if tier.overlap:
        how.append(f"-{_days(tier.overlap)}")
    if tier.look_back:
        how.append(f"-{_days(tier.look_back)}")
    if tier.look_ahead:
        how.append(f"+{_days(tier.look_ahead)}")
    name = f"{tier.name} sweep" if tier.sweep else tier.name
    return f"{name} ({' '.join(how)})" if how else name


def _cost(stream: Stream) -> str:
    if stream.is_child:
        return "1 a parent" if stream.response_type != "page" else f"*n*/{stream.page_size} a parent"
    if stream.parent:
        return f"parents/{stream.parent.batch_size}"
    if stream.response_type != "page":
        return "1"
    window = stream.window(None)
    searches = len(window.branches) or 1 if window else len(stream.full_read)
    each = f"*n*/{stream.page_size}" + (
        "" if window and window.tracks_changes else ", +1 where that is more than 1"
    )
    # Of several searches, each but the last tells its total once more.
    return each if searches == 1 else f"{searches} x ({each}) + {searches - 1}"


def _window(stream: Stream, window: TimeWindow) -> str:
    if window.branches:
        text = f"`{window.name}`: several united"
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

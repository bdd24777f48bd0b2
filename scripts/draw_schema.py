"""
Draw ``docs/reference/schema.svg``: the tables by subject, with child tables and references. ``make docs``
calls this.

    python -m scripts.draw_schema docs/reference/schema.svg
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from airflow_provider_alvys.api.catalogue.stream_rows import (
    fleet,
    freight,
    freight_details,
    money,
    partners,
    webhooks,
)
from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream
from airflow_provider_alvys.api.schema.values import snake_case
from airflow_provider_alvys.tables.schema import PARENT, Table, build_schema, default_table_name

SUBJECTS: dict[str, Sequence[Stream]] = {
    "Freight": (*freight.STREAMS, *freight_details.STREAMS),
    "Fleet": fleet.STREAMS,
    "Partners, places and people": partners.STREAMS,
    "Money": money.STREAMS,
    "Webhooks": webhooks.STREAMS,
}
_COLOURS = dict(zip(SUBJECTS, ("#1f5fa8", "#2b7a4b", "#7a3e9d", "#a85400", "#55606b"), strict=True))

_WIDTH = 1200
_MARGIN = 20
_GAP = 14
_COLUMNS = 4
_BOX = (_WIDTH - 2 * _MARGIN - (_COLUMNS - 1) * _GAP) / _COLUMNS
_HEAD = 28
_LINE = 17
_PAD = 8
# Width of a character of the small text.
_LETTER = 7.25
_STYLE = """
    text { font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 12px; fill: #24292f; }
    .title { font: bold 17px Helvetica, Arial, sans-serif; }
    .hint { font: 13px Helvetica, Arial, sans-serif; fill: #57606a; }
    .head { font-size: 13px; font-weight: bold; fill: #ffffff; }
    .quiet { fill: #6e7781; }
    .target { font-weight: bold; }
"""


@dataclass
class Reference:
    """
    A column with the key of another table.

    :param table: the table with the column.
    """

    table: str
    column: str
    target: str
    target_column: str


@dataclass
class Box:
    """The box of one stream: its table, its child tables by depth, and its references."""

    name: str
    colour: str
    lists: list[tuple[int, str]] = field(default_factory=list)
    references: list[tuple[str, str]] = field(default_factory=list)

    @property
    def height(self) -> float:
        """The height of the box."""
        lines = len(self.lists) + len(self.references)
        rule = _PAD if self.lists and self.references else 0
        return _HEAD + (_PAD + lines * _LINE + rule + _PAD / 2 if lines else 0)


def is_cross_check(stream: Stream) -> bool:
    """Return whether a stream lists the rows of another one, to verify them."""
    return stream.name.endswith("_list")


def references_of(stream: Stream) -> list[Reference]:
    """Return the references of a stream's tables to other tables."""
    schema = build_schema(stream)
    found = []
    if stream.is_child and stream.parent:
        target = default_table_name(STREAMS[stream.parent.stream])
        found.append(Reference(schema.main.name, PARENT, target, snake_case(stream.parent.column)))
    for path, where in stream.references.items():
        name, _, target_field = where.partition(".")
        for table in schema.tables:
            for column in table.columns:
                if column.field == path:
                    found.append(
                        Reference(
                            table.name,
                            column.name,
                            default_table_name(STREAMS[name]),
                            snake_case(target_field),
                        )
                    )
    return found


def own_name(table: Table) -> str:
    """Return a child table's name without its parent's: ``_stops`` for ``load_stops``."""
    parent = table.parent or ""
    return table.name.removeprefix(
        parent if table.name.startswith(f"{parent}_") else parent.removesuffix("s")
    )


def make_box(stream: Stream, colour: str) -> Box:
    """Return the box of a stream."""
    schema = build_schema(stream)
    box = Box(schema.main.name, colour)
    box.lists = [
        (table.path.count(".") if table.parent != schema.main.name else 0, own_name(table))
        for table in schema.tables[1:]
    ]
    own = {table.name: "" if table is schema.main else f"{own_name(table)}." for table in schema.tables}
    seen = set()
    for reference in references_of(stream):
        line = (own[reference.table] + reference.column, reference.target)
        if line not in seen:
            box.references.append(line)
        seen.add(line)
    return box


def draw() -> str:
    """Return the picture as SVG."""
    boxes = {
        subject: [make_box(stream, _COLOURS[subject]) for stream in streams if not is_cross_check(stream)]
        for subject, streams in SUBJECTS.items()
    }
    colours = {box.name: box.colour for found in boxes.values() for box in found}
    parts: list[str] = []
    top: float = _MARGIN + 8
    hint = (
        "A box is a stream. Below the name of its table are its child tables: _stops is load_stops. "
        "Arrows lead from a column to the table that it references."
    )
    parts.append(f'<text class="hint" x="{_MARGIN}" y="{top + 6:g}">{escape(hint)}</text>')
    top += 34
    for subject, found in boxes.items():
        parts.append(
            f'<text class="title" x="{_MARGIN}" y="{top + 4:g}" style="fill: {_COLOURS[subject]}">'
            f"{escape(subject)}</text>"
        )
        top += 16
        bottoms = [top] * _COLUMNS
        # The highest boxes first, each in the shortest column.
        for box in sorted(found, key=lambda box: -box.height):
            column = bottoms.index(min(bottoms))
            parts += _draw_box(box, _MARGIN + column * (_BOX + _GAP), bottoms[column], colours)
            bottoms[column] += box.height + _GAP
        top = max(bottoms) + 22
    height = top - 22 + _MARGIN - _GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{_WIDTH}" height="{height:g}" '
        f'viewBox="0 0 {_WIDTH} {height:g}">\n'
        "<title>The tables of Alvys's streams and their references</title>\n"
        f"<style>{_STYLE}</style>\n"
        f'<rect width="{_WIDTH}" height="{height:g}" fill="#ffffff"/>\n'
    )
    return head + "\n".join(parts) + "\n</svg>\n"


def _draw_box(box: Box, left: float, top: float, colours: dict[str, str]) -> list[str]:
    parts = [
        f'<rect x="{left:g}" y="{top:g}" width="{_BOX:g}" height="{box.height:g}" rx="5" fill="#f6f8fa" '
        f'stroke="{box.colour}"/>',
        f'<rect x="{left:g}" y="{top:g}" width="{_BOX:g}" height="{_HEAD}" rx="5" fill="{box.colour}"/>',
        f'<text class="head" x="{left + 10:g}" y="{top + 19:g}">{box.name}</text>',
    ]
    line = top + _HEAD + _PAD + 9
    for level, name in box.lists:
        room = _BOX - 20 - 16 * level
        squeezed = (
            f' textLength="{room:g}" lengthAdjust="spacingAndGlyphs"' if len(name) * _LETTER > room else ""
        )
        parts.append(f'<text x="{left + 10 + 16 * level:g}" y="{line:g}"{squeezed}>{name}</text>')
        line += _LINE
    if box.lists and box.references:
        rule = line - 9
        parts.append(f'<path d="M {left + 10:g} {rule:g} h {_BOX - 20:g}" stroke="#d0d7de"/>')
        line += _PAD
    for column, target in box.references:
        parts.append(
            f'<text class="quiet" x="{left + 10:g}" y="{line:g}">{column} → '
            f'<tspan class="target" style="fill: {colours[target]}">{target}</tspan></text>'
        )
        line += _LINE
    return parts


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw())

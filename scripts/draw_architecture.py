"""
Draw ``docs/architecture.svg``: the folders of the package and the imports between them. ``make docs`` calls
this.

    python -m scripts.draw_architecture docs/architecture.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

import grimp

PACKAGE = "airflow_provider_alvys"
# The folders of a drawing: column and row. What is not listed is drawn as the folder above it.
ROOMS = {
    "task_groups": (1, 0),
    "operators": (2, 0),
    "sensors": (3, 0),
    "transfers": (1.5, 1),
    "triggers": (3, 2),
    "landing.jobs": (1, 3),
    "api.poll": (2, 3),
    "hooks": (3, 3),
    "tables": (0, 4),
    "landing.formats": (0.5, 5),
    "landing.dataset": (0.5, 6),
    "api.documents": (2, 6),
    "api.write": (3, 6),
    "api.read": (2, 7),
    "api.http": (2, 8),
    "simulator": (3, 8),
    "api.catalogue": (2, 9),
    "api.schema": (2, 10),
}
_LEFT, _TOP, _RIGHT, _DOWN = 20, 20, 190, 64
_WIDE, _HIGH = 150, 36


def find_arrows() -> set[tuple[str, str]]:
    """Return the imports between rooms, without those that follow from others."""
    graph = grimp.build_graph(PACKAGE)
    arrows: set[tuple[str, str]] = set()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            one, other = _room(module), _room(imported)
            if one and other and one != other:
                arrows.add((one, other))
    return {arrow for arrow in arrows if not _is_implied(arrow, arrows)}


def _room(module: str) -> str | None:
    name = module.removeprefix(f"{PACKAGE}.")
    return next((room for room in ROOMS if name == room or name.startswith(f"{room}.")), None)


def _is_implied(arrow: tuple[str, str], arrows: set[tuple[str, str]]) -> bool:
    """Return whether a longer way leads to the same room."""
    start, end = arrow
    seen: set[str] = set()
    open_rooms = [other for one, other in arrows if one == start and other != end]
    while open_rooms:
        room = open_rooms.pop()
        if room == end:
            return True
        if room not in seen:
            seen.add(room)
            open_rooms += [other for one, other in arrows if one == room]
    return False


def draw() -> str:
    """Return the picture as SVG; arrows lead down."""
    boxes = {room: (_LEFT + column * _RIGHT, _TOP + row * _DOWN) for room, (column, row) in ROOMS.items()}
    width = max(left for left, _ in boxes.values()) + _WIDE + _LEFT
    height = max(top for _, top in boxes.values()) + _HIGH + _TOP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width:g}" height="{height}" '
        f'viewBox="0 0 {width:g} {height}">',
        "<title>The folders of the package and the imports between them</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M 0 0 L 8 4 L 0 8 z" fill="#57606a"/></marker></defs>',
        f'<rect width="{width:g}" height="{height}" fill="#ffffff"/>',
    ]
    for one, other in sorted(find_arrows()):
        start, end = boxes[one], boxes[other]
        if start[1] >= end[1]:
            raise ValueError(f"{one} imports {other}, which is not below it: move a room")
        parts.append(
            f'<path d="M {start[0] + _WIDE / 2:g} {start[1] + _HIGH} L {end[0] + _WIDE / 2:g} {end[1]}" '
            'stroke="#57606a" marker-end="url(#tip)"/>'
        )
    for room, (left, top) in boxes.items():
        parts += [
            f'<rect x="{left:g}" y="{top}" width="{_WIDE}" height="{_HIGH}" rx="5" fill="#f6f8fa" '
            'stroke="#1f5fa8"/>',
            f'<text x="{left + _WIDE / 2:g}" y="{top + 23}" text-anchor="middle" '
            f'style="font: 14px monospace; fill: #24292f">{room.replace(".", "/")}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw())

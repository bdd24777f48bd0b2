"""
Draw the folders of the package and the imports between them into ``docs/architecture.md``, as a Mermaid
graph.

``make docs`` calls this; a test fails while the page is not current.

    python -m scripts.draw_architecture docs/architecture.md
"""

from __future__ import annotations

import sys
from pathlib import Path

import grimp

PACKAGE = "airflow_provider_alvys"
PAGE = Path(__file__).parent.parent / "docs" / "architecture.md"
BEGIN, END = "<!-- imports -->\n", "<!-- /imports -->\n"
# The folders of a drawing, top to bottom. What is not listed is drawn as the folder above it.
ROOMS = (
    "task_groups",
    "operators",
    "transfers",
    "sensors",
    "triggers",
    "hooks",
    "tables",
    "landing.jobs",
    "landing.formats",
    "landing.dataset",
    "api.poll",
    "api.documents",
    "api.write",
    "api.read",
    "api.http",
    "api.catalogue",
    "api.schema",
    "simulator",
)


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


def render() -> str:
    """Return the Mermaid graph."""
    lines = ["```mermaid", "graph TD"]
    lines += [f'    {room.replace(".", "_")}["{room.replace(".", "/")}"]' for room in ROOMS]
    ordered = sorted(find_arrows(), key=lambda arrow: (ROOMS.index(arrow[0]), ROOMS.index(arrow[1])))
    lines += [f"    {one.replace('.', '_')} --> {other.replace('.', '_')}" for one, other in ordered]
    return "\n".join([*lines, "```", ""])


def page() -> str:
    """Return the page with today's graph between its marks."""
    before, rest = PAGE.read_text().split(BEGIN)
    return before + BEGIN + render() + END + rest.split(END)[1]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())

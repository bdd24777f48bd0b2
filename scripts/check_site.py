"""
Check the built site for what Sphinx does not see. ``make docs-site`` calls this.

    python -m scripts.check_site .site
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import airflow_provider_alvys

# The modules of docs/compatibility.md, "What is public".
PUBLIC_MODULES = (
    "hooks.alvys",
    "operators.alvys",
    "transfers.alvys_to_object_storage",
    "transfers.documents_to_object_storage",
    "transfers.object_storage_to_sql",
    "sensors.alvys",
    "triggers.alvys",
    "api.webhooks",
    "api.replays",
    "api.errors",
)
# Pages that Sphinx adds, which its templates link to.
_OWN_PAGES = {"genindex.html", "search.html", "index.html"}


class _Page(HTMLParser):
    """What a page links to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the addresses in a tag."""
        values = dict(attrs)
        if tag == "a":
            self.links.add((values.get("href") or "").partition("#")[0])
        elif tag == "link" and values.get("rel") not in ("canonical", "next", "prev"):
            self.loads.add(values.get("href") or "")
        else:
            self.loads |= {values[name] or "" for name in ("src", "srcset", "poster") if name in values}


def find_problems(site: Path) -> list[str]:
    """Return the pages that nothing leads to, and the files that pages load from another host."""
    index = _Page((site / "index.html").read_text())
    problems = [
        f"{page.relative_to(site)}: the navigation does not lead to it"
        for page in site.rglob("*.html")
        if str(page.relative_to(site)) not in index.links | _OWN_PAGES
    ]
    for file in site.rglob("*"):
        loads: set[str] = set()
        if file.suffix == ".html":
            loads = _Page(file.read_text()).loads
        elif file.suffix == ".css":
            loads = set(re.findall(r"""(?:url\(|@import )\s*["']?([^"')]+)""", file.read_text()))
        problems += [
            f"{file.relative_to(site)}: loads {address} from another host"
            for address in loads
            if re.match(r"(https?:)?//", address)
        ]
    return problems


def public_names() -> dict[str, object]:
    """Return the public classes and functions by the address that they are documented under."""
    found: dict[str, object] = {
        f"airflow_provider_alvys.{name}": getattr(airflow_provider_alvys, name)
        for name in airflow_provider_alvys.__all__
        if name != "__version__"
    }
    for name in PUBLIC_MODULES:
        module = importlib.import_module(f"airflow_provider_alvys.{name}")
        for member, value in _members(module).items():
            if not any(value is other for other in found.values()):
                found[f"{module.__name__}.{member}"] = value
    return found


def _members(module: ModuleType) -> dict[str, object]:
    listed = getattr(module, "__all__", None)
    return {
        name: value
        for name, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and (name in listed if listed else value.__module__ == module.__name__ and name[0] != "_")
    }


def documented_names(site: Path) -> set[str]:
    """Return the names that the site describes."""
    from sphinx.util.inventory import InventoryFile

    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="").data
    return {name for kind, items in inventory.items() if kind.startswith("py:") for name in items}


def main(site: Path) -> int:
    """Print what is wrong, and return the exit code."""
    problems = find_problems(site)
    problems += [
        f"{name} is not in the reference" for name in public_names() if name not in documented_names(site)
    ]
    for problem in sorted(problems):
        print(problem)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

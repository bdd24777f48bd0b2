"""The site of these pages, which `make docs-site` builds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pygments.lexers.templates import SqlJinjaLexer

from airflow_provider_alvys import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "airflow-provider-alvys"
release = version = __version__
language = "en"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
# SQL Server's "$" is no token of the SQL lexer.
suppress_warnings = ["misc.highlighting_failure"]

# The anchors of headings are those of GitHub.
myst_heading_anchors = 4
myst_enable_extensions = ["fieldlist"]

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
# A broken reference to a name of this package is an error; other packages' names stay plain text.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!airflow_provider_alvys|Alvys).*")]

html_theme = "furo"
html_title = f"airflow-provider-alvys {release}"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_domain_indices = False


def setup(app: Sphinx) -> None:
    """Highlight SQL with the templates in it, and link the pages that docstrings name."""
    app.add_lexer("sql", SqlJinjaLexer)
    app.connect("autodoc-process-docstring", link_pages)


def link_pages(app: Sphinx, kind: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Replace names of pages, such as ``docs/reference/streams.md``, by links."""
    lines[:] = [re.sub(r"``docs/([\w/-]+)\.md``", r":doc:`/\1`", line) for line in lines]

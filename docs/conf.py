"""The documentation site: `make docs` builds it from these pages, the docstrings, `--help` and the schema."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import adn

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "examples")]
from reference import write_pages  # noqa: E402 - beside this file

project = "adn"
author = "The adn authors"
version = release = adn.__version__
copyright = "the adn authors. For research use only; not a medical device"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_gallery.gen_gallery"]
root_doc = "index"
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
default_role = "code"  # docstrings set code in single backticks
smartquotes_action = "qe"  # dashes stay, since options begin with them
suppress_warnings = ["config.cache"]  # the gallery's scraper is a function
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
autodoc_typehints = "description"
autodoc_member_order = "bysource"

html_theme = "furo"
html_title = f"adn {release}"
html_static_path = ["static"]
html_favicon = "../src/adn/server/static/icon.svg"
html_css_files = ["site.css"]
html_search_scorer = str(Path(__file__).parent / "static" / "scorer.js")
html_theme_options = {
    "announcement": "For research use only. Not a medical device; not for diagnosis or treatment decisions.",
    "light_css_variables": {"color-announcement-background": "#fdecea", "color-announcement-text": "#8a1c12"},
    "dark_css_variables": {"color-announcement-background": "#4a1a15", "color-announcement-text": "#ffd9d3"},
}


def take_picture(block: Any, block_vars: dict[str, Any], gallery: dict[str, Any], **_: Any) -> str:
    """Of an example, the PNG that it wrote."""
    from sphinx_gallery.scrapers import figure_rst

    pictures = sorted(Path(block_vars["src_file"]).parent.glob("*.png"))
    paths = []
    for picture in pictures:
        path = Path(next(block_vars["image_path_iterator"]))
        picture.rename(path)
        paths.append(path)
    return figure_rst(paths, gallery["src_dir"])


sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/(plot_|patient\.py)",
    "image_scrapers": (take_picture,),
    "reset_modules": (),
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,  # such a page loads scripts from other sites
    "min_reported_time": 10**6,
}


def keep_options_whole(_app: Any, _page: str, _template: str, context: dict[str, Any], _tree: Any) -> None:
    """Let no line end after the hyphens of an option (static/site.css)."""
    if "body" in context:
        context["body"] = re.sub(r'<span class="pre">(?=-)', '<span class="pre whole">', context["body"])


def setup(app: Any) -> None:
    """Write the reference before Sphinx reads the pages."""
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir)))
    app.connect("html-page-context", keep_options_whole)

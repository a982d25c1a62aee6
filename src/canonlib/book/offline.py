"""Sphinx extension: a book that loads nothing from a network when it is read.

The third-party JavaScript is copied, when the book is built, from installed wheels: plotly (``plotly.min.js``),
circuitsvis (``iife.js``) and sphinx-mathjax-offline (MathJax 3 with SVG output, one file, no fonts). Each big file is
added only to the pages that need it. Nothing third-party is committed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata as metadata
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

from canonlib.book import crosslinks
from canonlib.book.apidocs import CanonNames, CanonRoom, leave_mocked, no_type, plain_docstring
from canonlib.book.explorerpage import CanonExplorer, copy_explorer
from canonlib.book.mime import CircuitsVisMime, PlotlyMime
from canonlib.book.pages import CanonCiting, CanonStatus
from canonlib.book.sourcelinks import mend_source_links
from canonlib.errors import ConfigError

__all__ = ["CircuitsVisMime", "PlotlyMime", "setup"]

_FIGURE_MARKS = {'class="canon-plotly"': "vendor/plotly.min.js", 'class="canon-cv"': "vendor/circuitsvis.js"}


def _wheel_file(distribution: str, ending: str) -> Path:
    """The installed file of ``distribution`` whose path ends so; ``ConfigError`` says what to install."""
    try:
        dist = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        raise ConfigError(f"the book needs {distribution}: run `make setup`.") from None
    for file in dist.files or ():
        if file.as_posix().endswith(ending):
            return Path(str(dist.locate_file(file)))
    raise ConfigError(f"{distribution} {dist.version} holds no {ending}; install the version in requirements.lock.")


def vendor_sources() -> dict[str, Path]:
    """Name below ``_static/vendor/`` and the installed file it is copied from; ``ConfigError`` says what to install."""
    static = Path(str(files("canonlib.book") / "static"))
    return {
        "plotly.min.js": _wheel_file("plotly", "plotly/package_data/plotly.min.js"),
        "circuitsvis.js": _wheel_file("circuitsvis", "circuitsvis/dist/cdn/iife.js"),
        "mathjax-tex-svg-full.js": _wheel_file("sphinx-mathjax-offline", "tex-svg-full.js"),
        "canon-figures.js": static / "canon-figures.js",
        "canon-page.js": static / "canon-page.js",
        "canon.css": static / "canon.css",
    }


def _check_renderers() -> None:
    """Without the entry points the figures would be dropped in silence: stop with the remedy instead."""
    names = {e.value for e in metadata.entry_points(group="myst_nb.mime_renderers")}
    missing = {f"canonlib.book.offline:{c.__name__}" for c in (PlotlyMime, CircuitsVisMime)} - names
    if missing:
        raise ConfigError(f"entry points {sorted(missing)} are not installed: run `pip install -e .` again.")


def _stage(app: Any, config: Any) -> None:
    """Collect the files in a staging folder and serve them as ``_static/vendor/``.

    They cannot live in ``book/_static``: Jupyter Book 1 adds every script found there to every page.
    """
    _check_renderers()
    stage = Path(app.outdir).parent / "_vendor_static"
    (stage / "vendor").mkdir(parents=True, exist_ok=True)
    for name, source in vendor_sources().items():
        target = stage / "vendor" / name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            shutil.copyfile(source, target)
    config.html_static_path.append(str(stage))
    config.mathjax_path = "vendor/mathjax-tex-svg-full.js"
    # Newer pydata themes repeat the search box in a second bar unless told not to.
    config.html_theme_options = {"navbar_persistent": [], **config.html_theme_options}
    config.html_context = {"default_mode": "auto", **config.html_context}


def _page_files(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Add our style and script to every page, the figure scripts to the pages that have figures."""
    body = context.get("body") or ""
    app.add_css_file("vendor/canon.css")
    app.add_js_file("vendor/canon-page.js", defer="defer")
    wanted = [script for mark, script in _FIGURE_MARKS.items() if mark in body]
    for script in [*wanted, *(["vendor/canon-figures.js"] if wanted else [])]:
        app.add_js_file(script, defer="defer")


def _drop_thebe(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """sphinx-thebe writes a CDN address twice into every page (a console error); live code is not used here."""
    scripts = context.get("script_files")
    if scripts is None:
        return
    seen, kept = set(), []
    for script in scripts:
        name = str(getattr(script, "filename", script) or "")
        inline = str((getattr(script, "attributes", None) or {}).get("body", ""))
        if "thebe" in name or "THEBE_JS_URL" in inline or (name, inline) in seen:
            continue
        seen.add((name, inline))
        kept.append(script)
    scripts[:] = kept


def _one_page_as_html(app: Any) -> None:
    """Sphinx forgets all other nodes for a builder's format as soon as one extension names the builder itself.

    Some do for ``singlehtml``: let that builder write every other node as the HTML builder does.
    """
    handlers = app.registry.translation_handlers
    if "singlehtml" in handlers:
        handlers["singlehtml"] = {**handlers.get("html", {}), **handlers["singlehtml"]}


def _fingerprint() -> int:
    """A number that changes with this package's code, styles and scripts: Sphinx then builds every page anew.

    Otherwise it copies no style as long as no page was edited.
    """
    folder = Path(str(files("canonlib.book")))
    text = b"".join(path.read_bytes() for path in sorted([*folder.glob("*.py"), *folder.glob("static/*")]))
    return int(hashlib.sha256(text).hexdigest()[:12], 16)


def setup(app: Any) -> dict[str, Any]:
    """Connect the extension to Sphinx."""
    app.add_directive("canon-room", CanonRoom)
    app.add_directive("canon-names", CanonNames)
    app.add_directive("canon-explorer", CanonExplorer)
    app.add_directive("canon-status", CanonStatus)
    app.add_directive("canon-citing", CanonCiting)
    app.connect("config-inited", _stage, priority=900)
    app.connect("builder-inited", _one_page_as_html)
    app.connect("builder-inited", leave_mocked)
    app.connect("html-page-context", _page_files)
    app.connect("html-page-context", _drop_thebe, priority=990)
    app.connect("html-page-context", mend_source_links)
    app.connect("autodoc-process-docstring", no_type, priority=400)
    app.connect("autodoc-process-docstring", plain_docstring)
    app.connect("builder-inited", crosslinks.find)
    app.connect("env-get-updated", crosslinks.changed)
    app.connect("doctree-resolved", crosslinks.add)
    app.connect("build-finished", copy_explorer)
    return {"version": "1", "env_version": _fingerprint(), "parallel_read_safe": True, "parallel_write_safe": True}

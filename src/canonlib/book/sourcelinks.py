"""Mends the links of Sphinx's source pages back to the API pages.

A name that a room re-exports is documented both as ``room.Name`` and as ``room.module.Name``, or as one of the two;
``sphinx.ext.viewcode`` takes the room of the first name it met for all names of the module, and links to places that
no page has. It also lists modules of which it has no source.
"""

from __future__ import annotations

import re
from typing import Any

_BACK = re.compile(r'<a class="viewcode-back" href="([^"#]*)#([^"]*)">(.*?)</a>')
_LISTED = re.compile(r'<li><a href="[^"]*">([\w.]+)</a></li>')


def mend_source_links(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Sphinx hook for one page: on a source page, lead every link back to a documented name, or drop it."""
    if not pagename.startswith("_modules/"):
        return
    objects = app.env.get_domain("py").objects
    modules = getattr(app.env, "_viewcode_modules", {})
    module = pagename.removeprefix("_modules/").replace("/", ".")

    def back(link: re.Match[str]) -> str:
        found = documented(link[2], module, objects)
        if found is None:
            return ""
        place = f"{app.builder.get_relative_uri(pagename, objects[found].docname)}#{objects[found].node_id}"
        return f'<a class="viewcode-back" href="{place}">{link[3]}</a>'

    body = _BACK.sub(back, context["body"])
    if module == "index":
        body = _LISTED.sub(lambda item: item[0] if modules.get(item[1]) else "", body)
    context["body"] = body


def documented(name: str, module: str, objects: Any) -> str | None:
    """The name under which the API pages document what viewcode calls ``name`` and ``module`` defines; else None."""
    if name in objects:
        return name
    parts = name.split(".")
    # The last part is its name in the module, or the last two, for a method.
    own = (".".join([module, *parts[-n:]]) for n in range(1, len(parts)))
    return next((candidate for candidate in own if candidate in objects), None)

"""The page: three files put into one, with a policy that lets nothing else run or load."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent


class Page(NamedTuple):
    """html: UTF-8. policy: value of the header Content-Security-Policy."""

    html: bytes
    policy: str


def build() -> Page:
    """Read page.html, page.css and page.js, and put them together."""
    html, style, script = (
        (_FOLDER / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")
    )
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    whole = html.replace("/*style*/", style).replace("/*script*/", script)
    return Page(whole.encode(), policy)


def _digest(text: str) -> str:
    """The text's hash, by which the browser knows that it is ours."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

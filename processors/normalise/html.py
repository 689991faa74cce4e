"""HTML mail to text, as a person sees it: hidden parts left out, tables read row by row, no indentation."""

import re
from collections.abc import Callable
from typing import Any

import inscriptis
from inscriptis.css_profiles import STRICT_CSS_PROFILE
from inscriptis.html_properties import Display
from inscriptis.model.config import ParserConfig
from inscriptis.model.html_element import HtmlElement
from inscriptis.model.tag import CustomHtmlTagHandlerMapping

from topics import limits

_START = re.compile(
    r"\s*(?:<!--.{0,2000}?-->\s*)?<(?:!doctype|\?xml|html|head|body|div|span|table|p|br|font|center|meta|style|title)\b",
    re.IGNORECASE | re.DOTALL,
)
_TAG = re.compile(r"<[^<>]*>")
_SPACING = re.compile(
    r"(?:margin|padding)(?=[\w-]*\s*:)", re.IGNORECASE
)  # "margin-top: 999999999em" would be a gigabyte


def _nothing(*_: Any) -> None:
    pass


def _reader() -> ParserConfig:
    """Rows are lines and cells are words. Tables as such are laid out in columns, padded to the widest cell: mails
    use them for layout, and a hostile one of 100 KB would become gigabytes of spaces."""
    nothing: dict[str, Callable[..., None]] = dict.fromkeys(("table", "tr", "td", "th"), _nothing)
    row = HtmlElement(display=Display.block)
    cell = HtmlElement(display=Display.inline, prefix=" ", suffix=" ", limit_whitespace_affixes=True)
    return ParserConfig(
        css=STRICT_CSS_PROFILE | {"table": row, "tr": row, "ul": row, "ol": row, "td": cell, "th": cell, "span": cell},
        custom_html_tag_handler_mapping=CustomHtmlTagHandlerMapping(nothing, nothing),
    )


_READER = _reader()


def looks_like_html(text: str) -> bool:
    """Whether a text begins like HTML, whatever its sender calls it."""
    return _START.match(text) is not None


def text_of(html: str) -> str:
    """The visible text of the first HTML_CHARS_MAX characters. Never raises."""
    html = _SPACING.sub("no", html[: limits.HTML_CHARS_MAX].replace("\0", ""))
    try:
        text: str = inscriptis.get_text(html, _READER)
    except Exception:  # noqa: BLE001 - whatever the library trips over, there is still the text between the tags
        text = ""
    return text if text.strip() else _TAG.sub(" ", html)

"""Pages of their own: a result under its link, and what is shown when it is gone."""

from __future__ import annotations

from html import escape

_HEAD = (
    "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
    "<meta name='viewport' content='width=device-width, initial-scale=1'><meta name='robots' content='noindex'>"
    "<meta name='color-scheme' content='light dark'><title>{title}</title>"
    "<script>matchMedia('(prefers-color-scheme: dark)').matches && document.documentElement.classList.add('dark')"
    "</script><link rel='stylesheet' href='/own/app.css'><script src='/own/compare.js'></script></head>"
    "<body class='dc-page'><div class='gradio-container'><header class='dc-head'><h1><a href='/'>DeepClarity</a></h1>"
    "{lead}</header><main>"
)
_FOOT = "</main><footer class='dc-foot'><p>{text}</p></footer></div></body></html>"


def result_page(content: str, *, title: str, remaining_s: float, back: str = "") -> str:
    """A complete page around the HTML of a result. `back`: URL path of the gallery that it belongs to."""
    minutes = max(1, round(remaining_s / 60))
    text = f"This page and its files are deleted in {minutes} minute{'' if minutes == 1 else 's'}."
    lead = f"<p><a href='{escape(back)}'>Back to all pictures</a></p>" if back else ""
    head = _HEAD.format(title=escape(f"{title} – DeepClarity"), lead=lead)
    return f"{head}{content}{_FOOT.format(text=text)}"


def message_page(title: str, text: str) -> str:
    """A page that says one thing in plain words."""
    head = _HEAD.format(title=escape(f"{title} – DeepClarity"), lead="")
    card = f"<section class='dc-card dc-note-card'><h2>{escape(title)}</h2><p>{escape(text)}</p></section>"
    return f"{head}{card}{_FOOT.format(text='<a href=/>Go to DeepClarity</a>')}"

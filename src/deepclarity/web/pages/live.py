"""The Live tab: repairs the browser's camera picture; `static/live.js` is its client side."""

from __future__ import annotations

from html import escape

from deepclarity.web.model_cache import Tiers

from .components import html
from .correct import tier_choices


def live_tab(tiers: Tiers, *, tier: str) -> None:
    """Build the tab inside the current Blocks."""
    options = "".join(
        f"<option value='{escape(name)}'{' selected' if name == tier else ''}>{escape(label)}</option>"
        for label, name in tier_choices(tiers)
    )
    html("<p class='dc-lead'>Repairs your camera picture live. The frames are sent to this server only.</p>")
    html(
        "<section class='dc-live'>"
        "<div class='dc-toolbar'>"
        "<button type='button' class='dc-button dc-start'>Start camera</button>"
        f"<label class='dc-field'><span>Tier</span><select class='dc-tier'>{options}</select></label>"
        "<label class='dc-field'><span>Repair</span><select class='dc-which'>"
        "<option value='pixelated'>pixelated frames</option><option value='all'>every frame</option>"
        "<option value='none'>nothing</option></select></label>"
        "<label class='dc-check'><input type='checkbox' class='dc-coarse'> Pixelate my camera to see the effect</label>"
        "</div><p class='dc-live-status' role='status'>The camera is off.</p>"
        "<div class='dc-pair'><figure><figcaption>Camera</figcaption>"
        "<canvas class='dc-before' width='640' height='360' role='img' aria-label='The camera picture'></canvas>"
        "</figure>"
        "<figure><figcaption>Repaired</figcaption>"
        "<canvas class='dc-after' width='640' height='360' role='img' aria-label='The repaired picture'></canvas>"
        "</figure></div><dl class='dc-facts dc-meter'>"
        "<div><dt>Displayed</dt><dd class='dc-fps'>–</dd></div>"
        "<div><dt>Delay</dt><dd class='dc-lag'>–</dd></div>"
        "<div><dt>Server time</dt><dd class='dc-ms'>–</dd></div><div><dt>Verdict</dt><dd class='dc-kind'>–</dd></div>"
        "</dl></section>",
        elem_id="live-view",
        js_on_load="window.deepclarityLive && window.deepclarityLive(element);",
    )

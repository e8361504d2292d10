"""Quiet greys and one accent, by day and by night: for Gradio's own parts and for ours."""

from __future__ import annotations

import gradio as gr

_FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

_COLOURS = {
    "accent": ("#0f766e", "#2dd4bf"),
    "accent-strong": ("#0b5d57", "#5eead4"),
    "accent-ink": ("#ffffff", "#04211e"),
    "soft": ("#f1f5f9", "#1a2431"),
    "line": ("#dbe2ea", "#2b3848"),
    "ink": ("#0f172a", "#e8eef5"),
    "dim": ("#526074", "#a3b1c2"),
    "card": ("#ffffff", "#131c27"),
    "fault": ("#b4232a", "#ff9c93"),
    "fault-soft": ("#fdf1f0", "#2c1a1c"),
    "fine": ("#14713d", "#74dca0"),
    "fine-soft": ("#eef8f1", "#14271d"),
    "note": ("#8a5300", "#f2c265"),
    "note-soft": ("#fdf6e9", "#2a2214"),
    "page": ("#f7f9fb", "#0c131b"),
}
"""What they are called, by day, by night."""

_PARTS = {
    "body_background_fill": "page",
    "body_text_color": "ink",
    "body_text_color_subdued": "dim",
    "background_fill_primary": "card",
    "background_fill_secondary": "soft",
    "block_background_fill": "card",
    "block_border_color": "line",
    "border_color_primary": "line",
    "block_label_background_fill": "card",
    "block_label_text_color": "dim",
    "block_title_text_color": "dim",
    "block_info_text_color": "dim",
    "input_background_fill": "soft",
    "input_border_color": "line",
    "input_placeholder_color": "dim",
    "input_background_fill_focus": "soft",
    "button_primary_background_fill": "accent",
    "button_primary_text_color": "accent-ink",
    "button_primary_background_fill_hover": "accent-strong",
    "button_secondary_background_fill": "card",
    "button_secondary_text_color": "ink",
    "button_secondary_background_fill_hover": "soft",
    "button_secondary_border_color": "line",
    "button_cancel_background_fill": "card",
    "button_cancel_text_color": "fault",
    "button_cancel_background_fill_hover": "fault-soft",
    "button_cancel_border_color": "fault",
    "checkbox_background_color": "card",
    "checkbox_background_color_selected": "accent",
    "checkbox_border_color": "dim",
    "checkbox_border_color_selected": "accent",
    "checkbox_label_background_fill": "soft",
    "checkbox_label_background_fill_hover": "soft",
    "checkbox_label_background_fill_selected": "soft",
    "checkbox_label_text_color": "ink",
    "checkbox_label_border_color": "line",
    "color_accent_soft": "soft",
    "border_color_accent": "accent",
    "link_text_color": "accent",
    "link_text_color_hover": "accent",
    "link_text_color_visited": "accent",
    "link_text_color_active": "accent",
    "table_text_color": "ink",
    "code_background_fill": "soft",
}
"""Gradio's parts, and the colours that they have."""

_PLAIN = {
    "button_primary_border_color": "transparent",
    "button_border_width": "1px",
    "button_border_width_dark": "1px",
    "button_large_text_weight": "570",
    "block_border_width": "1px",
    "block_border_width_dark": "1px",
    "block_shadow": "none",
    "color_accent": "var(--dc-accent, #0f766e)",
}


def theme() -> gr.themes.Base:
    """Gradio's theme in our colours, and in fonts that a system has anyway."""
    made = gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        font=_FONT,
        font_mono=_MONO,
        radius_size=gr.themes.sizes.radius_lg,
    )
    chosen = dict(_PLAIN)
    for part, name in _PARTS.items():
        chosen[part], chosen[f"{part}_dark"] = _COLOURS[name]
    made.set(**chosen)
    return made


def colours_css() -> str:
    """The same colours as variables, `--dc-NAME`."""
    day, night = ("".join(f"--dc-{name}: {pair[which]}; " for name, pair in _COLOURS.items()) for which in (0, 1))
    return f":root {{ {day}}}\n.dark {{ {night}}}\n"

"""Gradio theme and CSS variables: greys and one accent colour, in light and dark mode."""

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
    "copied": ("#9ccfae", "#2f6a45"),
    "passed": ("#cbd5e1", "#3a4a5e"),
    "resized": ("#a9b6c8", "#52647c"),
    "blocky": ("#d99a2b", "#d6a548"),
    "smooth": ("#7c6bc4", "#a596ea"),
}
"""Colour name: (light mode, dark mode)."""

_THEME_COLOURS = {
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
"""Gradio theme variable: colour name."""

_THEME_CONSTANTS = {
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
    """The Gradio theme, in our colours and system fonts."""
    base = gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        font=_FONT,
        font_mono=_MONO,
        radius_size=gr.themes.sizes.radius_lg,
    )
    variables = dict(_THEME_CONSTANTS)
    for variable, name in _THEME_COLOURS.items():
        variables[variable], variables[f"{variable}_dark"] = _COLOURS[name]
    base.set(**variables)
    return base


def colours_css() -> str:
    """The colours as CSS variables, `--dc-NAME`."""
    light, dark = ("".join(f"--dc-{name}: {pair[mode]}; " for name, pair in _COLOURS.items()) for mode in (0, 1))
    return f":root {{ {light}}}\n.dark {{ {dark}}}\n"

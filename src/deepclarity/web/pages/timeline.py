"""The timeline of a repaired video: what was done to which frames, and why."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from deepclarity.models.verdict import Kind
from deepclarity.pipelines.report.stretches import Stretch, Treatment

_COLUMNS = 600
"""Parts of the bar: a stretch that is shorter is shown in one of them, repaired ones first."""
_MAX_ROWS = 100

_KIND_LABELS = {
    Kind.CLEAN: "nothing to repair",
    Kind.PIXELATED: "pixelated",
    Kind.SOFT: "soft, enlarged from a smaller picture",
    Kind.BLOCKY: "blocky, coded with too few bits",
    Kind.MOSAIC: "a mosaic, perhaps on purpose",
    Kind.PIXEL_ART: "pixel art, which is intended",
    Kind.DAMAGED: "damaged, its losses filled in by the decoder",
}
_LABELS = {
    Treatment.COPIED: "Copied",
    Treatment.PASSED: "Unchanged, encoded anew",
    Treatment.RESIZED: "Resized",
    Treatment.REPAIRED: "Repaired",
}


def timeline(stretches: Sequence[Stretch]) -> str:
    """The timeline as HTML: a bar, its legend, and a list; `static/compare.js` seeks the player to what is clicked."""
    if not stretches:
        return ""
    shown = list(dict.fromkeys(_class(each) for each in stretches))
    legend = "".join(f"<li><i class='{name}'></i>{escape(_legend(name))}</li>" for name in shown)
    rows = "".join(_row(each) for each in stretches[:_MAX_ROWS])
    more = len(stretches) - _MAX_ROWS
    rest = f"<p class='dc-info'>And {more:,} more stretches; the report shows all frames.</p>" if more > 0 else ""
    return (
        "<section class='dc-timeline'><h3>What was done, and why</h3>"
        f"<div class='dc-track' role='img' aria-label='{escape(_summary(stretches))}'>{_bar(stretches)}</div>"
        f"<ul class='dc-key'>{legend}</ul>"
        "<div class='dc-scroll dc-rows' tabindex='0' role='region' aria-label='Stretches of the video'>"
        "<table class='dc-table'><thead><tr><th scope='col'>Time</th><th scope='col'>Frames</th>"
        f"<th scope='col'>What</th><th scope='col'>Why</th></tr></thead><tbody>{rows}</tbody></table></div>{rest}"
        "</section>"
    )


def why(stretch: Stretch) -> str:
    """Why a stretch was treated as it was, in words."""
    kind = _KIND_LABELS[stretch.kind]
    if stretch.treatment is Treatment.COPIED:
        return f"{_capital(kind)}: the packets are the source's, byte for byte"
    if stretch.treatment is Treatment.REPAIRED:
        if stretch.kind is Kind.CLEAN:
            return "All frames were to be repaired"
        in_blocks = stretch.kind is Kind.PIXELATED and stretch.block_px
        return f"{_capital(kind)}{f', in blocks of {stretch.block_px:.4g} px' if in_blocks else ''}"
    left = "" if stretch.kind is Kind.CLEAN else ", and left as it is"
    reason = f"; encoded anew ({stretch.reason})" if stretch.reason else ""
    return f"{_capital(kind)}{left}{reason}"


def _row(stretch: Stretch) -> str:
    frames = f"{stretch.first_frame:,} – {stretch.last_frame:,}" if stretch.frames > 1 else f"{stretch.first_frame:,}"
    span = f"{_clock(stretch.start_s)} – {_clock(stretch.end_s)}"
    return (
        f"<tr><td><button type='button' class='dc-seek' data-at='{stretch.start_s:.3f}'>{span}</button></td>"
        f"<td>{frames}</td><td><i class='{_class(stretch)}'></i>{_LABELS[stretch.treatment]}</td>"
        f"<td>{escape(why(stretch))}</td></tr>"
    )


def _bar(stretches: Sequence[Stretch]) -> str:
    """The parts of the bar, (class, width): at most `_COLUMNS`, so that a video of many stretches stays small."""
    begin, length = stretches[0].start_s, max(1e-6, stretches[-1].end_s - stretches[0].start_s)
    columns: list[Stretch] = [stretches[0]] * _COLUMNS
    for repaired in (False, True):
        for each in stretches:
            if (each.treatment is Treatment.REPAIRED) is repaired:
                first = min(_COLUMNS - 1, int((each.start_s - begin) / length * _COLUMNS))
                end = max(first + 1, round((each.end_s - begin) / length * _COLUMNS))
                columns[first:end] = [each] * (min(end, _COLUMNS) - first)
    parts: list[tuple[str, float, int]] = []
    for each in columns:
        name = _class(each)
        if parts and parts[-1][0] == name:
            parts[-1] = name, parts[-1][1], parts[-1][2] + 1
        else:
            parts.append((name, each.start_s, 1))
    return "".join(
        f"<i class='{name}' data-at='{start_s:.3f}' style='flex-grow:{width}'></i>" for name, start_s, width in parts
    )


def _class(stretch: Stretch) -> str:
    repaired = stretch.treatment is Treatment.REPAIRED
    return f"dc-t-{stretch.treatment}{f'-{stretch.kind}' if repaired else ''}"


def _legend(name: str) -> str:
    treatment, _, kind = name.removeprefix("dc-t-").partition("-")
    return _LABELS[Treatment(treatment)] + (f": {'all frames' if kind == Kind.CLEAN else kind}" if kind else "")


def _summary(stretches: Sequence[Stretch]) -> str:
    frames: dict[str, int] = {}
    for each in stretches:
        label = _legend(_class(each))
        frames[label] = frames.get(label, 0) + each.frames
    return "; ".join(f"{label}: {count:,} frames" for label, count in frames.items())


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0.0, seconds), 60)
    return f"{int(minutes)}:{rest:05.2f}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

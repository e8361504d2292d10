"""Presets: flat TOML files, validated into one frozen dataclass."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from deepclarity.errors import UsageError, did_you_mean
from deepclarity.models.detectors import DEFAULT_DETECTOR
from deepclarity.stream.interlaced.modes import DeinterlaceMode

from .route import FrameSelection, Routing, parse_repair

COPY_MODES = ("auto", "never")


@dataclass(frozen=True, slots=True)
class Preset:
    """All settings of a run; command-line options override them."""

    method: str = DEFAULT_DETECTOR
    """Name of the detector."""
    pixel_art: bool = False
    """Whether pixel art is repaired like any other blocks."""
    model: str = "auto"
    """Name of the enhancer tier."""
    which: FrameSelection = FrameSelection.PIXELATED
    """Frames to repair: `pixelated`, `all` or `none`."""
    repair: str = "pixelated,blocky"
    """Kinds to repair, of `pixelated,blocky,soft`."""
    size: str = "auto"
    """`auto` (Full HD, larger pictures keep their size), `fhd` or `WIDTHxHEIGHT`."""
    pad: bool = False
    """Fill the output size with black bars."""
    deinterlace: DeinterlaceMode = DeinterlaceMode.AUTO
    """`auto` (interlaced pictures that are resized or repaired; telecine is undone), `off`, `frame` or `field`."""
    codec: str = "auto"
    """`h264`, `hevc`, `av1`; auto: h264 for 8 bit, hevc for 10 bit, av1 in webm."""
    crf: int | None = None
    """Constant rate factor; None: the codec's default."""
    speed: str = "superfast"
    """Encoder effort, by the names of x264's presets."""
    track: int | None = None
    """Index of the video track in the file; None: the one that is the video."""
    copy: str = "auto"
    """`auto`: packets in which nothing is to be repaired are copied, where size and codec stay; `never`."""
    encoder: str = "auto"
    """`software`, `nvenc`, or auto: NVENC if the enhancer runs on the GPU and a probe shows that it works."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    on_score: float = 0.6
    off_score: float = 0.4
    hold_s: float = 0.5
    confirm_frames: int = 2
    source_buffer_frames: int = 4
    sink_buffer_frames: int = 4
    restart_every_frames: int = 250
    latency_ms: int = 100
    """Live: age of a frame at the sink above which a simpler tier takes over."""

    @property
    def routing(self) -> Routing:
        """The settings of the routing stage."""
        return Routing(
            which=self.which,
            on=self.on_score,
            off=self.off_score,
            hold_s=self.hold_s,
            confirm_frames=self.confirm_frames,
            repair=parse_repair(self.repair),
        )


def load_preset(name: str) -> Preset:
    """Load a preset by its name in `configs/`, or by the path of your own TOML file; UsageError if it is invalid."""
    return preset_from(_read(name), where=name)


def check_copy(value: str, *, where: str = "--copy") -> None:
    """UsageError, which names `where`, for anything but `auto` and `never`."""
    if value not in COPY_MODES:
        raise UsageError(f"{where} '{value}': {did_you_mean(value, COPY_MODES)}")


def preset_from(values: dict[str, Any], *, where: str) -> Preset:
    """Make a preset from parsed TOML; UsageError for an unknown key or an invalid value. `where` is named in errors."""
    known = {item.name: item for item in fields(Preset)}
    changes: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"preset {where}: unknown key '{key}'; {did_you_mean(key, known)}")
        changes[key] = _validated(key, value, where)
    preset = replace(Preset(), **changes)
    if preset.off_score > preset.on_score:
        raise UsageError(f"preset {where}: off_score {preset.off_score} is above on_score {preset.on_score}.")
    return preset


def parse_deinterlace(text: str, *, where: str = "--deinterlace") -> DeinterlaceMode:
    """The mode of that name; UsageError, which names `where`, if there is none."""
    if text not in set(DeinterlaceMode):
        raise UsageError(f"{where} '{text}': {did_you_mean(text, list(DeinterlaceMode))}")
    return DeinterlaceMode(text)


def preset_names() -> list[str]:
    """Names of the presets that ship with DeepClarity."""
    folder = resources.files("deepclarity.configs")
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def _read(name: str) -> dict[str, Any]:
    if name.endswith(".toml"):
        try:
            return _parse(Path(name).read_text(encoding="utf-8"), name)
        except UnicodeDecodeError as error:
            raise UsageError(f"preset {name}: not a text file in UTF-8. Check the path.") from error
        except OSError as error:
            raise UsageError(f"preset {name}: cannot be read ({error.strerror}). Check the path.") from error
    if name not in preset_names():
        raise UsageError(f"--preset {name}: no such preset; {did_you_mean(name, preset_names())}")
    return _parse((resources.files("deepclarity.configs") / f"{name}.toml").read_text(encoding="utf-8"), name)


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"preset {name}: not valid TOML: {error}.") from error


_TYPES: dict[str, type | tuple[type, ...]] = {
    "pad": bool,
    "pixel_art": bool,
    "crf": int,
    "track": int,
    "confirm_frames": int,
    "source_buffer_frames": int,
    "sink_buffer_frames": int,
    "restart_every_frames": int,
    "latency_ms": int,
    "on_score": (int, float),
    "off_score": (int, float),
    "hold_s": (int, float),
}


_BOUNDS = {
    "on_score": (0.0, 1.0),
    "off_score": (0.0, 1.0),
    "hold_s": (0.0, 3600.0),
    "confirm_frames": (0, 50),
    "latency_ms": (10, 10_000),
    "track": (0, 9999),
}


def _validated(key: str, value: object, where: str) -> object:
    expected = _TYPES.get(key, str)
    names = " or ".join(t.__name__ for t in (expected if isinstance(expected, tuple) else (expected,)))
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise UsageError(f"preset {where}: {key} = {value!r}: must be {names}, not {type(value).__name__}.")
    if key in _WORDS:
        return _word(key, str(value), where)
    if key in _BOUNDS and isinstance(value, int | float):
        low, high = _BOUNDS[key]
        if not low <= value <= high:
            raise UsageError(f"preset {where}: {key} = {value}: must be between {low:g} and {high:g}.")
    if isinstance(value, int) and not isinstance(value, bool) and key.endswith("frames"):
        minimum = 0 if key == "confirm_frames" else 1
        if value < minimum:
            raise UsageError(f"preset {where}: {key} = {value}: must be at least {minimum}.")
    return value


_WORDS = ("which", "copy", "deinterlace", "repair")


def _word(key: str, value: str, where: str) -> object:
    """The value of a key that takes one of a few words."""
    if key == "which":
        if value not in set(FrameSelection):
            raise UsageError(f"preset {where}: which = '{value}': {did_you_mean(value, list(FrameSelection))}")
        return FrameSelection(value)
    if key == "copy":
        check_copy(value, where=f"preset {where}: copy")
    if key == "deinterlace":
        return parse_deinterlace(value, where=f"preset {where}: deinterlace")
    if key == "repair":
        parse_repair(value, where=f"preset {where}: repair")
    return value

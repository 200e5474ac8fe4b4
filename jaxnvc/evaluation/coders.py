"""The codecs a run can measure: models by name or file, and encoders people use.

An encoder is named `TOOL[-ld|-ra][-PRESET]`, such as `x264`, `x265-ra` or
`svtav1-ld-6`. Two configurations: `ld`, low delay, one intra frame and no reordering;
`ra`, random access, an intra frame every 32 and the encoder's own choice of structure.
All run on one thread, with their own psychovisual tuning where it is their default.
"""

import dataclasses
import functools
import importlib.util
import shutil
import subprocess

from jaxnvc.errors import UsageError

RA_PERIOD = 32
"""Frames between intra frames at random access, as in the papers compared with."""

# No label on the pictures that is not in the samples: what a source says of its shape
# and colour would go into the stream.
_UNLABELLED = (
    "setsar=0,setparams=range=unspecified:color_primaries=unknown:color_trc=unknown:"
    "colorspace=unknown:chroma_location=unspecified"
)

MODEL_QPS = (0, 16, 32, 48, 63)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tool:
    """An encoder and how it is told what to do.

    Attributes:
      library: FFmpeg's name of it.
      via_ffmpeg: whether it runs in FFmpeg's program, not in PyAV.
      suffix: of its elementary stream's file name.
      muxer: FFmpeg's name of that format.
      rate: option that sets the quality; lower is better.
      rates: what is measured unless asked otherwise.
      presets: option, and its value unless asked otherwise.
      common: options of both configurations; `{rate}` and `{preset}` are filled in.
      modes: further options by configuration.
      bitstream_filter: what takes notes out of the stream that no decoder needs.
      bit_depths: what it codes; 8 bits are coded as 10 where only 10 is listed.
    """

    library: str
    suffix: str
    muxer: str
    rate: str
    rates: tuple[int, ...]
    preset: str
    common: dict[str, str]
    modes: dict[str, dict[str, str]]
    via_ffmpeg: bool = False
    bitstream_filter: str | None = None
    bit_depths: tuple[int, ...] = (8, 10)


_CRF = (18, 23, 28, 33, 38, 43, 48)
_PERIOD = f"keyint={RA_PERIOD}:min-keyint={RA_PERIOD}:scenecut=0"

TOOLS = {
    "x264": Tool(
        library="libx264",
        suffix=".264",
        muxer="h264",
        rate="crf",
        rates=_CRF,
        preset="medium",
        common={"preset": "{preset}", "crf": "{rate}"},
        modes={
            "ld": {
                "tune": "zerolatency",
                "bf": "0",
                "x264-params": "keyint=infinite:scenecut=0",
            },
            "ra": {"x264-params": _PERIOD},
        },
        # The only supplemental unit is 700 bytes of text about its options.
        bitstream_filter="filter_units=remove_types=6",
    ),
    "x265": Tool(
        library="libx265",
        suffix=".265",
        muxer="hevc",
        rate="crf",
        rates=_CRF,
        preset="medium",
        common={"preset": "{preset}", "crf": "{rate}"},
        modes={
            "ld": {
                "tune": "zerolatency",
                "x265-params": "keyint=-1:scenecut=0:bframes=0:info=0:pools=none:"
                "frame-threads=1:log-level=error",
            },
            "ra": {
                "x265-params": f"{_PERIOD}:open-gop=0:info=0:pools=none:"
                "frame-threads=1:log-level=error"
            },
        },
    ),
    "svtav1": Tool(
        library="libsvtav1",
        suffix=".obu",
        muxer="obu",
        rate="crf",
        rates=(20, 27, 34, 41, 48, 55, 62),
        preset="8",
        common={"preset": "{preset}", "crf": "{rate}"},
        modes={
            "ld": {"svtav1-params": "pred-struct=1:keyint=-1:scd=0:lp=1"},
            "ra": {"svtav1-params": f"pred-struct=2:keyint={RA_PERIOD - 1}:scd=0:lp=1"},
        },
    ),
    "vvenc": Tool(
        library="libvvenc",
        via_ffmpeg=True,
        suffix=".266",
        muxer="vvc",
        rate="qp",
        rates=(22, 27, 32, 37, 42, 47),
        preset="faster",
        common={"preset": "{preset}", "qp": "{rate}", "qpa": "0"},
        modes={
            "ld": {
                "vvenc-params": "picreordering=0:intraperiod=-1:"
                "decodingrefreshtype=none:gopsize=8"
            },
            "ra": {"vvenc-params": f"intraperiod={RA_PERIOD}:decodingrefreshtype=idr"},
        },
        bit_depths=(10,),
    ),
    "aom": Tool(
        library="libaom-av1",
        via_ffmpeg=True,
        suffix=".obu",
        muxer="obu",
        rate="crf",
        rates=(20, 27, 34, 41, 48, 55, 62),
        preset="6",
        common={"cpu-used": "{preset}", "crf": "{rate}", "b:v": "0", "usage": "good"},
        modes={
            "ld": {"lag-in-frames": "0", "g": "9999"},
            "ra": {
                "lag-in-frames": "35",
                "g": f"{RA_PERIOD}",
                "keyint_min": f"{RA_PERIOD}",
            },
        },
    ),
    "jpeg": Tool(
        library="mjpeg",
        suffix=".mjpeg",
        muxer="mjpeg",
        rate="qscale",
        rates=(1, 2, 3, 5, 8, 13, 20, 31),
        preset="optimal",
        common={
            "huffman": "{preset}",
            "qmin": "{rate}",
            "qmax": "{rate}",
            "flags": "+bitexact",
        },
        modes={"ld": {}},
        bit_depths=(8,),
    ),
}


@dataclasses.dataclass(frozen=True)
class Coder:
    """One codec of a run.

    Attributes:
      name: how results call it, its configuration spelt out.
      rates: settings to measure.
      model: released model or bundle file; None for an encoder.
      tool: key of `TOOLS`; None for a model.
      mode: "ld" or "ra".
      preset: of an encoder.
      gop: distance of a model's intra frames, -1 for only the first.
    """

    name: str
    rates: tuple[int, ...]
    model: str | None = None
    tool: str | None = None
    mode: str = "ld"
    preset: str = ""
    gop: int = -1

    @property
    def rate_name(self) -> str:
        """What a rate is: "qp", where higher is better, or an encoder's option."""
        return "qp" if self.model else TOOLS[self.tool].rate

    @property
    def suffix(self) -> str:
        """Of its streams' file names."""
        return ".nvc" if self.model else TOOLS[self.tool].suffix

    def options(self, rate: int) -> dict[str, str]:
        """What an encoder is told, in FFmpeg's words."""
        tool = TOOLS[self.tool]
        filled = {"preset": self.preset, "rate": rate}
        told = tool.common | tool.modes[self.mode]
        return {name: value.format(**filled) for name, value in told.items()}

    def command(self, rate: int, source: str, out: str, frames: int) -> list[str]:
        """The words after `ffmpeg` that write the same stream by hand.

        The same where the library is of the same version and the clip of even size.
        """
        tool = TOOLS[self.tool]
        words = ["-i", source, "-frames:v", f"{frames}", "-vf", _UNLABELLED]
        words += ["-c:v", tool.library]
        for name, value in self.options(rate).items():
            words += [f"-{name}", value]
        words += ["-threads", "1"]
        if tool.bitstream_filter:
            words += ["-bsf:v", tool.bitstream_filter]
        return [*words, "-f", tool.muxer, out]


def parse(
    name: str,
    *,
    qps: tuple[int, ...] = MODEL_QPS,
    gop: int = -1,
    rates: dict[str, tuple[int, ...]] | None = None,
) -> Coder:
    """Understands the name of a codec.

    Args:
      name: `TOOL[-ld|-ra][-PRESET]`, or a model's name or file.
      qps: what is measured of models.
      gop: distance of models' intra frames.
      rates: what is measured of encoders, by tool or by the name given.

    Returns:
      The codec; whether a model exists is found out when it is loaded.

    Raises:
      UsageError: an encoder has no such configuration, or a rate is out of range.
    """
    tool, *words = name.split("-")
    if tool not in TOOLS or name.endswith(".nvcm"):
        title = name.rsplit("/", 1)[-1].removesuffix(".nvcm")
        return Coder(title, tuple(qps), model=name, gop=gop)
    modes = [word for word in words if word in ("ld", "ra")]
    presets = [word for word in words if word not in modes]
    mode = modes[0] if modes else "ld"
    if mode not in TOOLS[tool].modes or len(modes) > 1 or len(presets) > 1:
        raise UsageError(
            f"{name} is no codec: write {tool}, then -ld or -ra, then a preset; {tool} "
            f"has {' and '.join(TOOLS[tool].modes)}"
        )
    preset = presets[0] if presets else TOOLS[tool].preset
    chosen = (rates or {}).get(name) or (rates or {}).get(tool) or TOOLS[tool].rates
    full = f"{tool}-{mode}-{preset}"
    return Coder(full, tuple(chosen), tool=tool, mode=mode, preset=preset)


@functools.cache
def ffmpeg_program() -> str | None:
    """The `ffmpeg` that `imageio-ffmpeg` brings, else the system's; None without."""
    if importlib.util.find_spec("imageio_ffmpeg"):
        import imageio_ffmpeg

        try:
            return imageio_ffmpeg.get_ffmpeg_exe()
        except RuntimeError:
            pass
    return shutil.which("ffmpeg")


@functools.cache
def ffmpeg_lists(what: str) -> frozenset[str]:
    """Names of the program's `encoders` or `filters`; empty without it."""
    if ffmpeg_program() is None:
        return frozenset()
    listing = subprocess.run(
        [ffmpeg_program(), "-hide_banner", f"-{what}"],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = (line.split() for line in listing.stdout.splitlines())
    return frozenset(row[1] for row in rows if len(row) > 2)


def missing_reason(coder: Coder) -> str | None:
    """Why an encoder cannot be measured here; None if it can, and for models."""
    if coder.tool is None:
        return None
    tool = TOOLS[coder.tool]
    if tool.via_ffmpeg:
        if tool.library in ffmpeg_lists("encoders"):
            return None
        if ffmpeg_program() is None:
            return f"{tool.library} needs the ffmpeg program: install jaxnvc[bench]"
        return f"the ffmpeg program at {ffmpeg_program()} has no {tool.library}"
    import av.codec

    if tool.library in av.codec.codecs_available:
        return None
    return f"this build of PyAV has no {tool.library}: install PyAV's own wheel"

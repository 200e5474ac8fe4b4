"""What a stream says about itself, without decoding it and without JAX."""

import dataclasses
import math
import os
from fractions import Fraction
from typing import Any

from jaxnvc.bitstream.framing import PacketKind
from jaxnvc.bitstream.header import MAJOR, StreamHeader
from jaxnvc.bitstream.limits import Limits
from jaxnvc.bitstream.packet import Packet
from jaxnvc.bitstream.reader import StreamReader
from jaxnvc.errors import InputError

_MAX_SHOWN_DAMAGES = 10
_CHROMA_NAMES = {0: "4:0:0", 1: "4:2:0", 2: "4:2:2", 3: "4:4:4"}
_RANGE_NAMES = {None: "unspecified range", False: "limited range", True: "full range"}


def describe(source, limits: Limits | None = None) -> dict[str, Any]:
    """Returns everything a stream tells, in values that JSON can hold.

    Args:
      source: a path, bytes, or a binary file or pipe.
      limits: what to refuse; the defaults of `Limits` if None.

    Returns:
      A dictionary: `path`, `version`, `header` (every field of `StreamHeader`),
      `bytes`, `header_bytes`, `packets` per kind (`count`, `frames`, `bytes`,
      `mean_bytes`), `frames`, `duration_s`, `bitrate_bps`, `bits_per_pixel` (luma),
      `qp` (`min`, `max`, `mean`), `variable_times`, `complete`, `has_index`, `damages`.
      What is not known is None.

    Raises:
      InputError: if a path cannot be opened.
      BitstreamError: if the header is damaged or over the limits. Damage further on is
        listed in `damages`.
    """
    if not isinstance(source, str | os.PathLike):
        return _describe_stream(StreamReader(source, limits), None)
    try:
        file = open(source, "rb")  # noqa: SIM115
    except OSError as error:
        raise InputError(
            f"cannot open {os.fspath(source)!r}: {error.strerror}; check the path"
        ) from error
    with file:
        return _describe_stream(StreamReader(file, limits), os.fspath(source))


def _describe_stream(reader: StreamReader, path: str | None) -> dict[str, Any]:
    """Reads all packets and sums them up."""
    packets = [_without_payload(packet) for packet in reader]
    header = reader.header
    num_frames = sum(packet.num_frames for packet in packets)
    num_bytes = reader.size or reader.num_bytes
    duration = _duration(header, packets, num_frames)
    pixels = header.display_width * header.display_height * num_frames
    qps = [packet.qp for packet in packets]
    return {
        "path": path,
        "version": f"{MAJOR}.{header.minor}",
        "header": _header_fields(header),
        "bytes": num_bytes,
        "header_bytes": reader.header_bytes,
        "packets": {
            kind.name.lower(): _count([p for p in packets if p.kind == kind])
            for kind in (PacketKind.INTRA, PacketKind.INTER)
        },
        "frames": num_frames,
        "duration_s": float(duration) if duration else None,
        "bitrate_bps": float(8 * num_bytes / duration) if duration else None,
        "bits_per_pixel": 8 * num_bytes / pixels if pixels else None,
        "qp": {
            "min": min(qps, default=None),
            "max": max(qps, default=None),
            "mean": math.fsum(qps) / len(qps) if qps else None,
        },
        "variable_times": any(packet.pts for packet in packets),
        "complete": reader.complete,
        "has_index": reader.has_index,
        "damages": [dataclasses.asdict(damage) for damage in reader.damages],
    }


def _without_payload(packet: Packet) -> Packet:
    """Drops the bytes, so that a long stream need not fit in memory."""
    return dataclasses.replace(packet, payload=b"")


def _header_fields(header: StreamHeader) -> dict[str, Any]:
    """Returns the header's fields with bytes as hexadecimal strings."""
    fields = dataclasses.asdict(header)
    fields["portable"] = header.portable
    aspect = header.sample_aspect
    fields["sample_aspect"] = str(aspect) if aspect else None
    fields["model_id"] = header.model_id.hex()
    fields["skip_thresholds"] = list(header.skip_thresholds)
    fields["extensions"] = [[tag, value.hex()] for tag, value in header.extensions]
    return fields


def _count(packets: list[Packet]) -> dict[str, Any]:
    """Returns the statistics of packets of one kind."""
    num_bytes = sum(packet.num_bytes for packet in packets)
    return {
        "count": len(packets),
        "frames": sum(packet.num_frames for packet in packets),
        "bytes": num_bytes,
        "mean_bytes": num_bytes / len(packets) if packets else None,
    }


def _duration(
    header: StreamHeader, packets: list[Packet], num_frames: int
) -> Fraction | None:
    """Returns the playing time in seconds; None if nothing tells."""
    rate = (
        Fraction(header.frame_rate_num, header.frame_rate_den)
        if header.frame_rate_den
        else None
    )
    times = [time for packet in packets for time in packet.pts or ()]
    if times and (rate or len(times) > 1):
        tick = Fraction(header.time_base_num, header.time_base_den)
        span = (times[-1] - times[0]) * tick
        # The last frame has no successor to end it: it lasts as long as the others.
        return span + (1 / rate if rate else span / (len(times) - 1))
    return num_frames / rate if rate else None


def format_info(info: dict[str, Any]) -> str:
    """Returns what `describe` found as lines for a person to read."""
    header = info["header"]
    rows = {
        "file": f"{info['path'] or '-'}, {info['bytes']} bytes, format "
        + info["version"],
        "model": f"{header['model_name'] or '(unnamed)'} ({header['family']}), id "
        + header["model_id"],
        "decodes": _format_profile(header),
        "picture": _format_picture(header),
        "colour": f"primaries {header['primaries']}, transfer {header['transfer']}, "
        f"matrix {header['matrix']}, {_RANGE_NAMES[header['full_range']]}",
        "time": _format_time(info),
        "structure": _format_structure(header),
        **{kind: _format_count(count) for kind, count in info["packets"].items()},
        "rate": _format_rate(info),
        "state": _format_state(info),
    }
    lines = [f"{name:<10} {text}" for name, text in rows.items()]
    damages = info["damages"]
    lines += [
        f"  byte {damage['offset']}: {damage['reason']}"
        for damage in damages[:_MAX_SHOWN_DAMAGES]
    ]
    if len(damages) > _MAX_SHOWN_DAMAGES:
        lines.append(f"  and {len(damages) - _MAX_SHOWN_DAMAGES} more")
    return "\n".join(lines)


def _format_picture(header: dict[str, Any]) -> str:
    """Says what a frame looks like."""
    aspect = header["sample_aspect"]
    return (
        f"{header['display_width']}x{header['display_height']} (coded "
        f"{header['coded_width']}x{header['coded_height']}), "
        f"{_CHROMA_NAMES[header['chroma_format']]}, {header['bit_depth']} bits"
        + (f", sample aspect {aspect}" if aspect else "")
    )


def _format_count(count: dict[str, Any]) -> str:
    """Says how many packets of one kind there are and what they cost."""
    mean = f", mean {count['mean_bytes']:.1f}" if count["count"] else ""
    packets = f"{count['count']} packets, {count['frames']} frames"
    return f"{packets}, {count['bytes']} bytes{mean}"


def _format_profile(header: dict[str, Any]) -> str:
    """Says where the stream decodes."""
    profile = header["profile"]
    if profile is None:
        return "anywhere (portable)"
    return (
        f"reliably only where it was made: {profile['device_kind']}, "
        f"{profile['dtype']}, JAX {profile['jax_version']}"
    )


def _format_time(info: dict[str, Any]) -> str:
    """Says how many frames there are and when they are shown."""
    header = info["header"]
    frames = f"{info['frames']} frames"
    if info["complete"] is False and header["frame_count"]:
        frames += f" of {header['frame_count']}"
    rate = "unknown frame rate"
    if info["variable_times"]:
        base = f"{header['time_base_num']}/{header['time_base_den']}"
        rate = f"variable frame rate, time base {base} s"
    elif header["frame_rate_den"]:
        rate = f"{header['frame_rate_num']}/{header['frame_rate_den']} frames/s"
    duration = info["duration_s"]
    return f"{frames}, {rate}" + (f", {duration:.3f} s" if duration else "")


def _format_structure(header: dict[str, Any]) -> str:
    """Says how frames depend on each other."""
    intra = "first frame" if header["gop"] == -1 else f"every {header['gop']} frames"
    refresh = header["refresh_period"]
    return (
        f"intra {intra}, {header['frames_per_unit']} frames per unit, refresh "
        + (f"every {refresh} units" if refresh else "never")
        + f", skip thresholds {header['skip_thresholds']}"
    )


def _format_rate(info: dict[str, Any]) -> str:
    """Says how many bits are spent and at which quality."""
    parts = []
    if info["bitrate_bps"] is not None:
        parts.append(f"{info['bitrate_bps'] / 1000:.2f} kb/s")
    if info["bits_per_pixel"] is not None:
        parts.append(f"{info['bits_per_pixel']:.5f} bits/pixel")
        quality = info["qp"]
        parts.append(f"qp {quality['min']} to {quality['max']} (higher is better)")
    return ", ".join(parts) or "no frames"


def _format_state(info: dict[str, Any]) -> str:
    """Says whether all is well."""
    index = "with index" if info["has_index"] else "without a readable index"
    if info["damages"]:
        return f"DAMAGED in {len(info['damages'])} places, {index}"
    return f"complete, {index}"

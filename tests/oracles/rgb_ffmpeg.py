"""BT.709 limited range to RGB by FFmpeg's scaler, chroma bilinear from the centre."""

from fractions import Fraction

import av
import av.filter
import numpy as np

_SCALE = (
    "in_range=tv:out_range=pc:in_color_matrix=bt709:in_h_chr_pos=128:in_v_chr_pos=128:"
    "flags=bilinear+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
)


def rgb(picture):
    """[H, W, 3] of the picture's depth; its last bit is FFmpeg's affair."""
    bits = "" if picture.bit_depth == 8 else "10le"
    size = {"width": picture.width, "height": picture.height}
    graph = av.filter.Graph()
    source = graph.add_buffer(
        **size, format=f"yuv420p{bits}", time_base=Fraction(1, 25)
    )
    scale, form = (
        graph.add("scale", _SCALE),
        graph.add("format", f"pix_fmts=gbrp{bits}"),
    )
    sink = graph.add("buffersink")
    for one, other in ((source, scale), (scale, form), (form, sink)):
        one.link_to(other)
    graph.configure()
    frame = av.VideoFrame(**size, format=f"yuv420p{bits}")
    for plane, samples in zip(frame.planes, picture.planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        data = np.ascontiguousarray(samples).view(np.uint8)
        rows[:, : data.shape[1]] = data
        plane.update(rows.tobytes())
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    source.push(frame)
    green, blue, red = (
        np.frombuffer(bytes(plane), np.uint8)
        .reshape(plane.height, plane.line_size)
        .view(picture.y.dtype)[:, : picture.width]
        for plane in sink.pull().planes
    )
    return np.stack([red, green, blue], -1)

"""Small clips for the tests of this folder, and an independent writer of them."""

from fractions import Fraction

import av
import numpy as np

from jaxnvc.video import VideoFrame, VideoInfo, Yuv420, create_video

SIZES = [(1, 1), (2, 2), (15, 17), (17, 31), (127, 65), (176, 144), (353, 287)]
"""Width and height."""


def noise(width, height, count, bit_depth=8, seed=0):
    """`count` pictures of independent samples over the whole range of values."""
    rng = np.random.default_rng(seed)
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    luma, chroma = (height, width), (-(-height // 2), -(-width // 2))
    return [
        Yuv420(
            *(
                rng.integers(0, 1 << bit_depth, shape).astype(dtype)
                for shape in (luma, chroma, chroma)
            )
        )
        for _ in range(count)
    ]


def info_of(width, height, bit_depth=8, **known):
    """25 frames per second unless told otherwise."""
    rate = known.pop("frame_rate", Fraction(25))
    time_base = known.pop("time_base", 1 / rate)
    return VideoInfo(
        width=width,
        height=height,
        bit_depth=bit_depth,
        frame_rate=rate,
        time_base=time_base,
        **known,
    )


def timed(pictures, times=None):
    """Frames shown at `times`, or one after another."""
    times = range(len(pictures)) if times is None else times
    return [VideoFrame(p, t) for p, t in zip(pictures, times, strict=True)]


def same_pictures(frames, pictures):
    """Whether `frames` show exactly `pictures`."""
    return len(frames) == len(pictures) and all(
        frame.planes.same_pixels(picture)
        for frame, picture in zip(frames, pictures, strict=True)
    )


def encode_with_pyav(path, arrays, pixel_format, codec, options=None, **context):
    """Writes [H, W(, 3)] arrays of a PyAV pixel format, without our writer."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        first = av.VideoFrame.from_ndarray(arrays[0], format=pixel_format)
        stream.width, stream.height = first.width, first.height
        stream.pix_fmt = pixel_format
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for index, array in enumerate(arrays):
            frame = av.VideoFrame.from_ndarray(array, format=pixel_format)
            frame.pts = index
            frame.color_range = context.get("color_range", 0)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_clip(path, pictures, info, times=None):
    """Writes a whole video by way of `create_video`."""
    with create_video(path, info) as writer:
        for frame in timed(pictures, times):
            writer.write(frame)


def is_one_sentence_of(error, path):
    """Whether a caught `InputError` is one line about `path` that exits with 3."""
    text = str(error.value)
    return (
        "\n" not in text and text.startswith(str(path)) and error.value.exit_code == 3
    )

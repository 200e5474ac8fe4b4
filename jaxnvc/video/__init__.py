"""Video in and out: 4:2:0 frames of files and pipes. NumPy and PyAV, never JAX."""

from jaxnvc.video.framemd5 import FrameMd5Writer, framemd5_header, framemd5_line
from jaxnvc.video.frames import (
    BT709,
    Colour,
    VideoFrame,
    VideoInfo,
    VideoWarning,
    Yuv420,
)
from jaxnvc.video.raw import RawFormat
from jaxnvc.video.reader import VideoReader, open_video
from jaxnvc.video.rgb import rgb_to_yuv420, yuv420_to_rgb
from jaxnvc.video.staging import OutputError, StagedFile
from jaxnvc.video.writer import OUTPUT_SUFFIXES, VideoWriter, create_video

__all__ = [
    "BT709",
    "OUTPUT_SUFFIXES",
    "Colour",
    "FrameMd5Writer",
    "OutputError",
    "RawFormat",
    "StagedFile",
    "VideoFrame",
    "VideoInfo",
    "VideoReader",
    "VideoWarning",
    "VideoWriter",
    "Yuv420",
    "create_video",
    "framemd5_header",
    "framemd5_line",
    "open_video",
    "rgb_to_yuv420",
    "yuv420_to_rgb",
]

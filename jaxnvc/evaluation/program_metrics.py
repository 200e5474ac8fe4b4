"""VMAF and XPSNR as FFmpeg's program measures them."""

import json
import pathlib
import re
import subprocess

from jaxnvc.errors import VerificationError
from jaxnvc.evaluation.coders import ffmpeg_lists, ffmpeg_program
from jaxnvc.video import VideoFrame, VideoInfo, Yuv420, create_video

FILTERS = ("libvmaf", "xpsnr")
_XPSNR = re.compile(r"XPSNR\s+y:\s*(\S+)\s+u:\s*(\S+)\s+v:\s*(\S+)")


def missing_reason() -> str | None:
    """Why VMAF and XPSNR cannot be measured here; None if they can."""
    if ffmpeg_program() is None:
        return "VMAF and XPSNR need the ffmpeg program: install jaxnvc[bench]"
    lacking = [name for name in FILTERS if name not in ffmpeg_lists("filters")]
    if lacking:
        return f"the ffmpeg program at {ffmpeg_program()} has no {', '.join(lacking)}"
    return None


class ProgramMetrics:
    """Collects frames into two files and measures them; a context manager.

    Both files have the source's size and depth, whatever the decoder returned.
    """

    def __init__(self, beside: pathlib.Path, clip, *, wanted: bool):
        """Args:
        beside: the two files are made beside this one.
        clip: size, depth and rate, a `measure.Clip`.
        wanted: if false, nothing is written and nothing measured.
        """
        self._paths = [beside.with_suffix(f".{i}.y4m") for i in ("shown", "source")]
        self._writers = []
        if wanted:
            info = VideoInfo(
                width=clip.width,
                height=clip.height,
                bit_depth=clip.bit_depth,
                frame_rate=clip.fps,
                time_base=1 / clip.fps,
            )
            self._writers = [
                create_video(str(path), info, overwrite=True) for path in self._paths
            ]

    def __enter__(self) -> "ProgramMetrics":
        return self

    def __exit__(self, *exception) -> None:
        for writer in self._writers:
            writer.close()
        for path in self._paths:
            path.unlink(missing_ok=True)

    def add(self, source: Yuv420, shown: Yuv420) -> None:
        """Adds a pair of frames."""
        for writer, picture in zip(self._writers, (shown, source), strict=False):
            writer.write(VideoFrame(picture))

    def finish(self) -> dict[str, float]:
        """Measures; returns `vmaf`, `xpsnr_y`, `xpsnr_u` and `xpsnr_v`, or nothing.

        Raises:
          VerificationError: the program fails.
        """
        if not self._writers:
            return {}
        for writer in self._writers:
            writer.close()
        log = self._paths[0].with_suffix(".json")
        name = str(log).replace("\\", "/").replace(":", "\\\\:")
        graph = (
            "[0:v]split[a][b];[1:v]split[c][d];"
            f"[a][c]libvmaf=log_fmt=json:log_path={name}[e];[b][d]xpsnr[f]"
        )
        inputs = [word for path in self._paths for word in ("-i", str(path))]
        head = [ffmpeg_program(), "-hide_banner", "-nostdin", "-nostats", *inputs]
        tail = ["-filter_complex", graph, "-map", "[e]", "-map", "[f]"]
        command = [*head, *tail, "-f", "null", "-"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = _XPSNR.search(done.stderr)
        if done.returncode or said is None or not log.exists():
            reason = " ".join(done.stderr.split())[-300:]
            raise VerificationError(f"VMAF and XPSNR were not measured: {reason}")
        vmaf = json.loads(log.read_text())["pooled_metrics"]["vmaf"]["mean"]
        log.unlink()
        return {"vmaf": vmaf} | {
            f"xpsnr_{plane}": float(value)
            for plane, value in zip("yuv", said.groups(), strict=True)
        }

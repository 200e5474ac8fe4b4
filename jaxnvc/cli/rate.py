"""The quality level that meets a target, by halving the range of levels."""

import io
from collections.abc import Callable, Sequence

from jaxnvc.bitstream import StreamWriter
from jaxnvc.cli.console import console
from jaxnvc.coding.codec import Codec
from jaxnvc.metrics import psnr_yuv
from jaxnvc.video import VideoFrame, VideoInfo

NUM_QP = 64


def first_true(predicate: Callable[[int], bool], count: int = NUM_QP) -> int:
    """Returns the smallest n in [0, count) with predicate(n), else `count`.

    Args:
      predicate: false, then true; asked about log2(count) times.
      count: how many numbers there are.
    """
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if predicate(middle):
            high = middle
        else:
            low = middle + 1
    return low


class Search:
    """Whole-clip encodes of frames held in memory."""

    def __init__(
        self,
        codec: Codec,
        frames: Sequence[VideoFrame],
        info: VideoInfo,
        *,
        gop: int,
        with_times: bool,
        stop: Callable[[], bool],
    ):
        """Args:
        codec: the model.
        frames: the clip.
        info: its size and rate.
        gop: distance of intra frames.
        with_times: whether packets carry times.
        stop: whether the user asked to stop.
        """
        self._codec, self._frames, self._info = codec, frames, info
        self._gop, self._with_times, self._stop = gop, with_times, stop

    def within_size(self, num_bytes: int) -> int:
        """Returns the best qp whose file has at most `num_bytes`, warning if none."""
        qp = first_true(lambda qp: self._size(qp, num_bytes) > num_bytes) - 1
        if qp < 0:
            console.warn(
                f"even qp 0, the lowest quality, needs more than {num_bytes} bytes; "
                "it is used, so shorten or scale down the video to reach the target"
            )
        return max(qp, 0)

    def reaching_psnr(self, target_db: float) -> int:
        """Returns the lowest qp with at least this YUV-PSNR, warning if none."""
        qp = first_true(lambda qp: self._psnr(qp) >= target_db)
        if qp == NUM_QP:
            console.warn(
                f"even qp {NUM_QP - 1}, the highest quality, stays below {target_db} "
                "dB; it is used"
            )
        return min(qp, NUM_QP - 1)

    def _settings(self, qp: int):
        return self._codec.settings(qp=qp, gop=self._gop, num_frames=len(self._frames))

    def _encode(self, qp: int, *, reconstruct: bool = False):
        settings = self._settings(qp)
        for coded in self._codec.encode_iter(
            self._frames,
            settings,
            with_times=self._with_times,
            reconstruct=reconstruct,
        ):
            if self._stop():
                raise KeyboardInterrupt
            yield coded

    def _size(self, qp: int, enough: int) -> int:
        """Returns the bytes of the file, or any number above `enough` if larger."""
        settings = self._settings(qp)
        writer = StreamWriter(
            io.BytesIO(), self._codec.header(self._info, settings, len(self._frames))
        )
        for coded in self._encode(qp):
            writer.write(coded.packet)
            if writer.num_bytes > enough:
                return writer.num_bytes
        writer.close()
        return writer.num_bytes

    def _psnr(self, qp: int) -> float:
        """Returns the mean YUV-PSNR in decibels."""
        total = 0.0
        units = self._encode(qp, reconstruct=True)
        shown = (one for coded in units for one in coded.reconstructions)
        for frame, reconstruction in zip(self._frames, shown, strict=True):
            pair = [frame.planes], [reconstruction]
            total += psnr_yuv(*pair, self._info.bit_depth)["yuv"]
        return total / len(self._frames)

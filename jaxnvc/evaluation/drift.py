"""Quality over hundreds of frames after one intra frame.

    jaxnvc robustness drift examples/cars.mkv --codecs eem-lite --out DIR

Loops a clip forth and back, so that every span of a loop's length has the same
pictures, and reports PSNR and bytes span by span. Quality that falls from span to span
is drift: errors that are passed on and not corrected.
"""

from collections.abc import Sequence

import jax

import jaxnvc
from jaxnvc.coding.codec import Codec
from jaxnvc.errors import UsageError
from jaxnvc.metrics import psnr_yuv
from jaxnvc.video import VideoFrame, Yuv420, open_video


def looped(frames: list[Yuv420], span: int, count: int) -> list[Yuv420]:
    """Repeats frames forth and back with a period of `span` frames.

    Raises:
      UsageError: there are too few frames, or the span is odd.
    """
    turn = span // 2
    if span < 2 or span % 2 or len(frames) <= turn:
        raise UsageError(
            f"a loop of {span} frames is not possible from {len(frames)}: it must be "
            "even, and the clip longer than half of it."
        )
    loop = frames[: turn + 1] + frames[turn - 1 : 0 : -1]
    return [loop[i % span] for i in range(count)]


def measure_drift(codec: Codec, frames: list[Yuv420], span: int, qp: int) -> list[dict]:
    """Encodes looped frames and measures each span after the first frame.

    Args:
      codec: a loaded model.
      frames: a loop of `span` frames, over and over.
      span: frames of the loop.
      qp: quality.

    Returns:
      Per span: its first frame, PSNR by plane and weighted, bytes per frame.
    """
    settings = codec.settings(qp=qp, num_frames=len(frames))
    shown, num_bytes = [], []
    for unit in codec.encode_iter(map(VideoFrame, frames), settings):
        shown += unit.reconstructions
        # A chunk's bytes are spread evenly, or spans would not share them fairly.
        count = len(unit.reconstructions)
        num_bytes += [len(unit.packet.payload) / count] * count
    spans = []
    for first in range(1, len(frames) - span + 1, span):
        part = slice(first, first + span)
        psnr_db = psnr_yuv(frames[part], shown[part], frames[0].bit_depth)
        rounded = {f"psnr_{key}": round(value, 3) for key, value in psnr_db.items()}
        spans.append(
            {"first": first, **rounded, "bytes_per_frame": sum(num_bytes[part]) / span}
        )
    return spans


def drift_report(
    model: str, clip: str, *, qps: Sequence[int], count: int, span: int
) -> dict:
    """Measures drift at several qualities.

    Args:
      model: released name or file.
      clip: a video of more than half a span.
      qps: qualities.
      count: frames of the long sequence.
      span: frames of the loop.

    Returns:
      What was measured on what, and `measure_drift` by qp.

    Raises:
      UsageError: the sequence is shorter than an intra frame and a span, the clip
        than half a span, or the span is odd.
    """
    if count <= span:
        raise UsageError(
            f"{count} frames hold no whole span of {span} after the intra frame: ask "
            f"for {span + 1} or more"
        )
    codec = jaxnvc.load(model)
    with open_video(clip, frames=span) as reader:
        frames = [frame.planes for frame in reader]
    frames = looped(frames, span, count)
    return {
        "model": codec.bundle.name,
        "model_id": codec.bundle.model_id.hex(),
        "clip": clip,
        "jax": jax.__version__,
        "span": span,
        "spans_by_qp": {str(qp): measure_drift(codec, frames, span, qp) for qp in qps},
    }

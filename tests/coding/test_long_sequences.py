"""Hundreds of frames after one intra frame decode as they were encoded."""

import dataclasses
import io

import numpy as np
import pytest

import jaxnvc
from jaxnvc.bitstream import StreamWriter
from jaxnvc.coding.gop import first_thresholds, rising_schedule
from jaxnvc.metrics import psnr_yuv
from jaxnvc.video import VideoFrame, VideoInfo, Yuv420

PERIOD, NUM_FRAMES = 28, 300
WIDTH, HEIGHT = 160, 96


@pytest.fixture(scope="module")
def looped(cars) -> list[Yuv420]:
    """A real clip forth and back, over and over: 28 frames have all of it once."""
    cut = [
        Yuv420(
            *(
                plane[: HEIGHT // step, 100 // step :][:, : WIDTH // step].copy()
                for plane, step in zip(picture.planes, (1, 2, 2), strict=True)
            )
        )
        for picture in cars[: PERIOD // 2 + 1]
    ]
    loop = cut + cut[-2:0:-1]
    return [loop[i % PERIOD] for i in range(NUM_FRAMES)]


@pytest.fixture(scope="module")
def coded(looped) -> tuple[bytes, list[Yuv420]]:
    """The stream, and what its encoder reconstructed."""
    codec = jaxnvc.load("eem-lite")
    settings = codec.settings(qp=24)
    settings = dataclasses.replace(
        settings,
        refresh_period=PERIOD,
        skip_thresholds=first_thresholds(settings.skip_thresholds),
        skip_schedule=rising_schedule(settings.skip_thresholds, NUM_FRAMES),
    )
    info = VideoInfo(width=WIDTH, height=HEIGHT)
    out, shown = io.BytesIO(), []
    with StreamWriter(out, codec.header(info, settings, NUM_FRAMES)) as writer:
        for coded in codec.encode_iter(map(VideoFrame, looped), settings):
            writer.write(coded.packet)
            shown += coded.reconstructions
    return out.getvalue(), shown


def test_the_decoder_stays_with_the_encoder_for_300_frames(looped, coded):
    stream, shown = coded
    video = jaxnvc.load("eem-lite").decode(stream)
    assert not video.damages
    assert len(video.frames) == NUM_FRAMES
    late = slice(-PERIOD, None)
    # Two programs round differently: a sample may fall to either side of a half.
    assert psnr_yuv(shown[late], video.frames[late])["yuv"] > 60
    ours, theirs = (
        psnr_yuv(looped[late], frames[late])["yuv"] for frames in (video.frames, shown)
    )
    assert abs(ours - theirs) < 0.05
    assert ours > 30


def test_four_quality_levels_up_is_better_and_larger_everywhere(cars):
    codec, frames = jaxnvc.load("eem-lite"), cars[:2]
    sizes, quality = [], []
    for qp in range(64):
        units = list(codec.encode_iter(map(VideoFrame, frames), codec.settings(qp=qp)))
        sizes.append(sum(len(unit.packet.payload) for unit in units))
        shown = [picture for unit in units for picture in unit.reconstructions]
        quality.append(psnr_yuv(frames, shown)["yuv"])
    quality, rate = np.array(quality), np.log(sizes)
    # On so few frames one level may fall behind its neighbour, four never do.
    assert (quality[4:] > quality[:-4]).all()
    assert (rate[4:] > rate[:-4]).all()
    assert np.diff(rate).min() > -0.02
    assert np.diff(quality).min() > -0.15
    assert (np.diff(quality) > 0).mean() > 0.9


@pytest.mark.parametrize("num_frames", [2, 7, 96, 300])
def test_skip_thresholds_rise_as_the_formula_says(num_frames):
    """eta = beta exp(0.3 (t / N - 1)) of sigma, rounded to a scale index."""
    thresholds = (4, 9, 20)
    row, found = first_thresholds(thresholds), []
    changes = dict(rising_schedule(thresholds, num_frames))
    for t in range(1, num_frames):
        row = changes.get(t, row)
        found.append(row)
    time = np.arange(1, num_frames)[:, None] / num_frames
    scale = np.array(thresholds) + 63 / 8 * np.log2(np.exp(0.3 * (time - 1)))
    np.testing.assert_array_equal(found, np.maximum(np.floor(scale + 0.5), 0))

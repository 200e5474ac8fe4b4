"""Many clips on many devices give what one clip on one device gives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnvc
from jaxnvc.codecs.protocol import Cond
from jaxnvc.coding.batch import data_mesh
from jaxnvc.coding.programs import Pair, Size, encode_intra, jit_encode_intra
from jaxnvc.errors import UsageError
from jaxnvc.video import Yuv420


def _crop(planes: Yuv420, top: int, left: int, height=32, width=64) -> Yuv420:
    rows = slice(top // 2, (top + height) // 2)
    columns = slice(left // 2, (left + width) // 2)
    return Yuv420(
        planes.y[top : top + height, left : left + width],
        planes.u[rows, columns],
        planes.v[rows, columns],
    )


@pytest.fixture(scope="module")
def clips(cars):
    """Eight different 64x32 clips of an intra frame and a chunk."""
    return [[_crop(f, 20 * i, 36 * i) for f in cars[i : i + 4]] for i in range(8)]


def test_a_batch_on_eight_devices_has_the_bytes_of_single_clips(toy_chunks, clips):
    qps = [8 * i for i in range(8)]
    assert data_mesh().size == 8
    streams = jaxnvc.encode_batch(toy_chunks, clips, qp=qps)
    for clip, qp, stream in zip(clips, qps, streams, strict=True):
        assert stream == toy_chunks.encode(clip, qp=qp)


def test_a_batch_that_does_not_fill_the_devices_loses_no_clip(toy_chunks, clips):
    streams = jaxnvc.encode_batch(toy_chunks, clips[:3], qp=24)
    assert streams == [toy_chunks.encode(clip, qp=24) for clip in clips[:3]]


def test_decoding_a_batch_equals_decoding_each_stream(toy_chunks, clips):
    streams = [
        toy_chunks.encode(clip[: 1 + i % 3], qp=20) for i, clip in enumerate(clips)
    ]
    for stream, video in zip(
        streams, jaxnvc.decode_batch(toy_chunks, streams), strict=True
    ):
        alone = toy_chunks.decode(stream)
        assert not video.damages
        assert video.numbers == alone.numbers
        assert all(map(Yuv420.same_pixels, video.frames, alone.frames))


def test_the_unit_program_gives_the_same_bytes_under_pmap(toy_chunks, clips):
    pair = Pair(toy_chunks.bundle.intra, toy_chunks.bundle.inter)
    size = Size(32, 64, 8)
    frames = [clip[0].planes for clip in clips]
    planes = tuple(jnp.asarray(np.stack(p))[:, None] for p in zip(*frames, strict=True))
    cond = Cond.of(30, skip=4)
    mapped = jax.pmap(
        functools.partial(encode_intra, pair, size), in_axes=(None, 0, None)
    )(toy_chunks.params, planes, cond)
    for i in range(8):
        one = jit_encode_intra(
            pair, size, toy_chunks.params, tuple(p[i] for p in planes), cond
        )
        count = int(one.payload.num_words[0])
        assert int(mapped.payload.num_words[i, 0]) == count
        np.testing.assert_array_equal(
            mapped.payload.words[i, 0, :count], one.payload.words[0, :count]
        )


def test_a_batch_refuses_clips_of_different_length(toy_chunks, clips):
    with pytest.raises(UsageError, match="one length"):
        jaxnvc.encode_batch(toy_chunks, [clips[0], clips[1][:2]])

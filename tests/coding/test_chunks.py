"""Sequences cut into units of several frames, by number and by the Python face."""

import pytest

import jaxnvc
from jaxnvc.coding.batch import data_mesh
from jaxnvc.coding.gop import in_units
from jaxnvc.video import Yuv420
from tests.cli.conftest import moving

NUM_FRAMES = 6


@pytest.fixture(scope="module")
def clips() -> list[list[Yuv420]]:
    """Two clips of a frame and two chunks, the second one short."""
    frames = list(moving(NUM_FRAMES + 2))
    return [frames[:NUM_FRAMES], frames[-1 : -1 - NUM_FRAMES : -1]]


@pytest.fixture(scope="module")
def streams(chunked, clips) -> list[bytes]:
    return [
        chunked.encode(clip, qp=qp) for clip, qp in zip(clips, (20, 40), strict=True)
    ]


def _same(ours, theirs) -> bool:
    return len(ours) == len(theirs) and all(map(Yuv420.same_pixels, ours, theirs))


@pytest.mark.parametrize(
    ("gop", "count", "expected"),
    [
        (-1, 1, [(0, 0, 1), *((n, n, 1) for n in range(1, 9))]),
        (-1, 4, [(0, 0, 1), (1, 1, 4), (5, 2, 4)]),
        (-1, 3, [(0, 0, 1), (1, 1, 3), (4, 2, 3), (7, 3, 2)]),
        (6, 4, [(0, 0, 1), (1, 1, 4), (5, 2, 1), (6, 0, 1), (7, 1, 2)]),
        (1, 4, [(n, 0, 1) for n in range(9)]),
    ],
)
def test_units_end_where_they_are_full_or_an_intra_frame_follows(gop, count, expected):
    units = list(in_units(range(9), gop, count))
    assert [(u.first, u.position, len(u.frames)) for u in units] == expected
    assert [frame for unit in units for frame in unit.frames] == list(range(9))


def test_a_unit_comes_out_before_the_next_frame_is_asked_for():
    asked = []

    def frames():
        for number in range(9):
            asked.append(number)
            yield number

    for unit in in_units(frames(), -1, 4):
        assert asked[-1] == unit.frames[-1]


def test_frames_come_out_in_order_and_number(chunked, clips, streams):
    video = chunked.decode(streams[0], strict=True)
    assert video.numbers == list(range(NUM_FRAMES))
    for shown, source in zip(video.frames, clips[0], strict=True):
        # Nearest to its own source, not to a neighbour's.
        errors = [
            abs(shown.y.astype(float) - other.y.astype(float)).mean()
            for other in clips[0]
        ]
        assert min(errors) == abs(shown.y.astype(float) - source.y).mean()


def test_a_slice_of_a_stream_is_the_slice_of_its_frames(chunked, streams, tmp_path):
    path = tmp_path / "clip.nvc"
    path.write_bytes(streams[0])
    whole = chunked.decode(streams[0]).frames
    stream = jaxnvc.coding.codec.Stream(path, chunked)
    assert len(stream) == NUM_FRAMES
    assert _same(stream[2:5], whole[2:5])
    assert stream[-1].same_pixels(whole[-1])


def test_a_batch_of_chunks_has_the_bytes_of_single_clips(chunked, clips, streams):
    mesh = data_mesh(data_mesh().devices.ravel()[:2].tolist())
    assert jaxnvc.encode_batch(chunked, clips, qp=[20, 40], mesh=mesh) == streams


def test_decoding_a_batch_of_chunks_equals_decoding_each(chunked, streams):
    for stream, video in zip(
        streams, jaxnvc.decode_batch(chunked, streams), strict=True
    ):
        assert video.numbers == list(range(NUM_FRAMES))
        assert _same(video.frames, chunked.decode(stream).frames)

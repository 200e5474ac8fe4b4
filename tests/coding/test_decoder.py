"""Units in flight: what comes before a fault is kept, what follows from it is not."""

import dataclasses
import io
import itertools

import pytest

from jaxnvc.bitstream import Damage, PacketKind, StreamReader
from jaxnvc.coding.decoder import decode_events
from jaxnvc.errors import BitstreamError
from jaxnvc.video import VideoFrame


@pytest.fixture(scope="module")
def stream(toy_chunks, cars):
    """Header and packets of 14 frames, an intra frame every seven."""
    reader = StreamReader(io.BytesIO(toy_chunks.encode(cars[:14], qp=24, gop=7)))
    return reader.header, list(reader)


def _numbers(events) -> list[int]:
    return [event.number for event in events if not isinstance(event, Damage)]


def test_units_come_in_order_while_the_next_one_is_decoded(toy_chunks, stream):
    header, packets = stream
    assert [p.kind for p in packets] == 2 * [PacketKind.INTRA, *2 * [PacketKind.INTER]]
    assert _numbers(decode_events(toy_chunks.bundle, header, packets)) == list(
        range(14)
    )


def test_an_encoder_that_reconstructs_nothing_writes_the_same(toy_chunks, cars):
    settings = toy_chunks.settings(qp=24)
    shown, silent = (
        list(
            toy_chunks.encode_iter(
                map(VideoFrame, cars[:6]), settings, reconstruct=reconstruct
            )
        )
        for reconstruct in (True, False)
    )
    assert [unit.packet for unit in silent] == [unit.packet for unit in shown]
    assert [len(unit.reconstructions) for unit in shown] == [1, 3, 2]
    assert not any(unit.reconstructions for unit in silent)


def test_units_before_a_fault_of_their_source_are_not_lost(toy_chunks, stream):
    header, packets = stream

    def broken():
        yield from packets[:2]
        raise BitstreamError("the file ends here.")

    frames = decode_events(toy_chunks.bundle, header, broken())
    assert _numbers(itertools.islice(frames, 4)) == [0, 1, 2, 3]
    with pytest.raises(BitstreamError, match="ends here"):
        next(frames)


@pytest.mark.parametrize(
    ("bad", "shown"),
    [
        (0, [7, 8, 9, 10, 11, 12, 13]),
        (1, [0, 7, 8, 9, 10, 11, 12, 13]),
        (2, [0, 1, 2, 3, 7, 8, 9, 10, 11, 12, 13]),
        (5, list(range(11))),
    ],
)
def test_nothing_is_shown_that_follows_from_a_damaged_unit(
    toy_chunks, stream, bad, shown
):
    header, packets = stream
    events = list(packets)
    events[bad] = dataclasses.replace(events[bad], check=events[bad].check ^ 1)
    found = list(decode_events(toy_chunks.bundle, header, events))
    assert _numbers(found) == shown
    damages = [event for event in found if isinstance(event, Damage)]
    assert [damage.first_lost for damage in damages] == [packets[bad].first_frame]

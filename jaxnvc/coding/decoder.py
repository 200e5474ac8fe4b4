"""Packets in, frames out: the sequence decoder of every family."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator

import jax
import numpy as np

from jaxnvc.bitstream import Damage, Packet, PacketKind, StreamHeader
from jaxnvc.codecs.protocol import Cond
from jaxnvc.coding.encoder import pictures
from jaxnvc.coding.joint_programs import choose_programs
from jaxnvc.coding.programs import Decoded, Pair, Size, coded_size
from jaxnvc.entropy import rans
from jaxnvc.errors import BitstreamError, ModelError
from jaxnvc.models.bundle import Bundle
from jaxnvc.video.frames import Yuv420


@dataclasses.dataclass(frozen=True)
class DecodedFrame:
    """A decoded frame.

    Attributes:
      number: its number in the stream.
      planes: its samples.
      pts: its time, or None for a constant frame rate.
      packet: what it was decoded from.
    """

    number: int
    planes: Yuv420
    pts: int | None
    packet: Packet


def check_model(header: StreamHeader, bundle: Bundle) -> None:
    """Checks that a stream was made with this model.

    Raises:
      ModelError: naming the model that the stream needs.
      BitstreamError: the stream's geometry is not this model's.
    """
    if header.model_id != bundle.model_id:
        raise ModelError(
            f"the stream needs model {header.model_name!r} with id "
            f"{header.model_id.hex()}, but {bundle.name!r} has id "
            f"{bundle.model_id.hex()}; give the right one with --model."
        )
    pair = Pair(bundle.intra, bundle.inter)
    expected = coded_size(pair, header.display_height, header.display_width)
    if (header.coded_height, header.coded_width) != expected:
        raise BitstreamError(
            f"the header's coded size {header.coded_width}x{header.coded_height} is "
            f"not the model's {expected[1]}x{expected[0]}; the header is not valid."
        )
    if header.frames_per_unit != bundle.inter.frames_per_unit:
        raise BitstreamError(
            f"the header's {header.frames_per_unit} frames per unit are not the "
            f"model's {bundle.inter.frames_per_unit}; the header is not valid."
        )
    if header.chroma_format != 1 or header.bit_depth not in (8, 10):
        raise BitstreamError(
            f"chroma format {header.chroma_format} at {header.bit_depth} bits is not "
            "supported, only 4:2:0 at 8 or 10 bits."
        )


def decode_events(
    bundle: Bundle, header: StreamHeader, events: Iterable[Packet | Damage]
) -> Iterator[DecodedFrame | Damage]:
    """Decodes units in order; what cannot be decoded becomes a `Damage`.

    After damage, decoding goes on at the next intra packet. The device works on unit
    n + 1 while the host fetches unit n.

    Args:
      bundle: the model that made the stream.
      header: the stream's header.
      events: packets, and damage found by the reader.

    Raises:
      ModelError: the model is another one.
    """
    sequence = Sequence(bundle, header)
    try:
        for event in events:
            if sequence.launch(event) and sequence.num_launched > 1:
                yield from sequence.settle()
    except Exception:
        # Nothing already decoded is lost.
        yield from sequence.drain()
        raise
    yield from sequence.drain()


class Sequence:
    """A clip being decoded: `launch` starts a packet, `settle` waits for the first.

    The two are apart so that a batch can launch one packet on every device
    before it waits for the first, and a device need not wait for the host.
    """

    def __init__(
        self, bundle: Bundle, header: StreamHeader, device: jax.Device | None = None
    ):
        """Opens a clip; see `decode_events`. `device` None is the default one."""
        check_model(header, bundle)
        if header.profile:
            bundle = bundle.in_precision(header.profile.dtype)
        self._pair = Pair(bundle.intra, bundle.inter)
        size = Size(header.display_height, header.display_width, header.bit_depth)
        self._programs = choose_programs(self._pair, size)
        self._skip = header.skip_threshold
        self._device = device
        self._params = jax.device_put(bundle.params, device)
        self._state = None
        self._launched: collections.deque[tuple] = collections.deque()

    @property
    def num_launched(self) -> int:
        """Returns how many events wait to be settled."""
        return len(self._launched)

    def launch(self, event: Packet | Damage) -> bool:
        """Starts an event; returns whether it has a result to wait for."""
        if isinstance(event, Damage):
            self._state = None
            self._launched.append((event, None))
            return True
        if event.kind == PacketKind.INTER and self._state is None:
            return False
        refusal = self._refusal(event)
        if refusal is None:
            decoded = self._run(event)
            self._state = decoded.state
            # The state is donated to the next program; only results are kept here.
            self._launched.append((event, decoded.replace(state=None)))
        else:
            self._state = None
            self._launched.append((_undecodable(event, refusal), None))
        return True

    def settle(self) -> list[DecodedFrame | Damage]:
        """Waits for the first event launched; returns its frames, or one damage.

        Damage forgets what has been decoded from it.
        """
        event, decoded = self._launched.popleft()
        if decoded is None:
            return [event]
        sound, check = jax.device_get((decoded.sound[0], decoded.check[0]))
        if not sound or int(check) & 0xFFFF != event.check:
            self._forget()
            return [_undecodable(event, "the decoded symbols fail their check")]
        shown = pictures(jax.device_get(decoded.planes), 0, event.num_frames)
        times = event.pts or (None,) * len(shown)
        return [
            DecodedFrame(event.first_frame + i, planes, pts, event)
            for i, (planes, pts) in enumerate(zip(shown, times, strict=True))
        ]

    def drain(self) -> Iterator[DecodedFrame | Damage]:
        """Settles everything launched."""
        while self._launched:
            yield from self.settle()

    def _forget(self) -> None:
        """Drops the units launched up to the next one that stands for itself."""
        while self._launched and _follows(self._launched[0][0]):
            self._launched.popleft()
        if not self._launched:
            self._state = None

    def _refusal(self, packet: Packet) -> str | None:
        inter = packet.kind == PacketKind.INTER
        module = self._pair.inter if inter else self._pair.intra
        if packet.num_frames > module.frames_per_unit:
            return f"a unit of {packet.num_frames} frames is not one of this model's"
        if packet.level >= module.num_levels:
            return f"quality level {packet.level} is not one of this model's"
        if packet.num_lanes not in self._programs.lane_choices:
            return f"{packet.num_lanes} rANS lanes are not a choice of this version"
        if len(packet.payload) % 2 or (
            len(packet.payload) // 2 > self._programs.capacities[-1]
        ):
            return f"a payload of {len(packet.payload)} bytes is not possible"
        return None

    def _run(self, packet: Packet) -> Decoded:
        num = len(packet.payload) // 2
        room = next(c for c in self._programs.capacities if num <= c)
        words, num_words = rans.from_bytes(packet.payload, room)
        skip = self._skip(packet.first_frame, packet.level)
        cond = Cond.of(packet.qp, packet.level, skip, packet.refresh)
        inputs = jax.device_put(
            (words[None], np.array([num_words], np.int32), cond), self._device
        )
        key = (packet.num_lanes, self._params)
        if packet.kind == PacketKind.INTRA:
            return self._programs.decode_intra(*key, *inputs)
        state, self._state = self._state, None  # donated
        return self._programs.decode_inter(*key, state, *inputs)


def _follows(event: Packet | Damage) -> bool:
    return isinstance(event, Packet) and event.kind == PacketKind.INTER


def _undecodable(packet: Packet, reason: str) -> Damage:
    number = packet.first_frame
    return Damage(
        offset=packet.offset, reason=f"frame {number}: {reason}", first_lost=number
    )

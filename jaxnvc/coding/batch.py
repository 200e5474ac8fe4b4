"""Many clips at once: data-parallel over a mesh, one program per unit kind.

Each device codes its share of the clips with the same program as a single clip,
so a clip's bytes do not depend on the company it was coded in.
"""

import functools
import io
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxnvc.bitstream import StreamReader, StreamWriter
from jaxnvc.codecs.protocol import Cond
from jaxnvc.coding.codec import Codec, Video, collect
from jaxnvc.coding.decoder import Sequence as DecodeSequence
from jaxnvc.coding.encoder import EncodeSettings, make_packet, unit_planes
from jaxnvc.coding.gop import Unit, in_units
from jaxnvc.coding.programs import Pair, Size, encode_inter, encode_intra
from jaxnvc.errors import UsageError
from jaxnvc.video import VideoInfo, Yuv420

AXIS = "data"


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns a one-axis mesh over the given devices, or over all of them."""
    return Mesh(np.array(devices or jax.devices()), (AXIS,))


def _per_clip(program, *static):
    """Maps a one-clip program over the leading axis, one clip at a time.

    One at a time, because a batched matrix product may round differently from a
    single one; parallelism comes from the devices.
    """

    def run(params, cond, *batched):
        def one(args):
            # Each clip keeps a batch axis of one inside the program.
            single = jax.tree.map(lambda a: a[None], args)
            *rest, qp = single
            result = program(*static, params, *rest, cond.replace(qp=qp))
            return jax.tree.map(lambda a: a[0], result)

        return jax.lax.map(one, (*batched, cond.qp))

    return run


@functools.cache
def _sharded(program, static: tuple, mesh: Mesh, num_batched: int):
    """Compiles a per-clip program over the mesh."""
    split, whole = P(AXIS), P()
    cond = Cond(qp=split, level=whole, skip=whole, refresh=whole, shown=whole)
    mapped = jax.shard_map(
        _per_clip(program, *static),
        mesh=mesh,
        in_specs=(whole, cond, *[split] * num_batched),
        out_specs=split,
        check_vma=False,
    )
    return jax.jit(mapped)


def encode_batch(
    codec: Codec,
    clips: Sequence[Sequence[Yuv420]],
    *,
    qp: int | Sequence[int] = 32,
    gop: int = -1,
    mesh: Mesh | None = None,
) -> list[bytes]:
    """Encodes clips of one size and length, data-parallel.

    Args:
      codec: a loaded model.
      clips: planes of equal size, bit depth and number.
      qp: one quality for all, or one per clip.
      gop: distance of intra frames, -1 for only the first.
      mesh: a mesh with the axis "data"; None takes all devices.

    Returns:
      A stream per clip, with the same bytes as `codec.encode` of that clip.

    Raises:
      UsageError: clips differ in size or length, or there is none.
    """
    mesh = mesh or data_mesh()
    size = _common_size(clips)
    qps = [qp] * len(clips) if isinstance(qp, int) else list(qp)
    if not codec.portable:
        # Their decoder needs the program that encoded: a sharded one is another.
        return [
            codec.encode(clip, qp=q, gop=gop)
            for clip, q in zip(clips, qps, strict=True)
        ]
    padded = _pad_to(list(zip(clips, qps, strict=True)), mesh.size)
    length = len(clips[0])
    settings = [codec.settings(qp=q, gop=gop, num_frames=length) for _, q in padded]
    pair = Pair(codec.bundle.intra, codec.bundle.inter)
    place = NamedSharding(mesh, P(AXIS))
    outputs = []
    last = None
    for unit in in_units(range(length), gop, pair.inter.frames_per_unit):
        frames = [[clip[number] for number in unit.frames] for clip, _ in padded]
        planes = jax.device_put(unit_planes(frames, unit, pair.inter), place)
        cond = _batch_cond(settings, unit, pair)
        if unit.position:
            run = _sharded(encode_inter, (pair, size), mesh, 3)
            last = run(codec.params, cond, last.state, last.x, planes)
        else:
            run = _sharded(encode_intra, (pair, size), mesh, 1)
            last = run(codec.params, cond, planes)
        outputs.append((unit, cond, jax.device_get(last.payload)))
    return [
        _stream(codec, size, settings[i], length, outputs, i) for i in range(len(clips))
    ]


def _batch_cond(settings: list[EncodeSettings], unit: Unit, pair: Pair) -> Cond:
    """Returns one unit's conditions, qp per clip."""
    conds = [one.cond(unit, pair.inter) for one in settings]
    return conds[0].replace(qp=jnp.concatenate([cond.qp for cond in conds]))


def _common_size(clips) -> Size:
    if not clips or not clips[0]:
        raise UsageError("there are 0 clips or frames to encode, give 1 or more.")
    first = clips[0][0]
    size = Size(first.height, first.width, first.bit_depth)
    for clip in clips:
        if len(clip) != len(clips[0]):
            raise UsageError(
                f"clips have {len(clips[0])} and {len(clip)} frames, but a batch has "
                "one length; group them by length."
            )
        for planes in clip:
            if (planes.height, planes.width, planes.bit_depth) != size:
                raise UsageError(
                    f"clips are {size.width}x{size.height} and {planes.width}x"
                    f"{planes.height}, but a batch has one size; group them by size."
                )
    return size


def _pad_to(items: list, multiple: int) -> list:
    """Repeats the last item until the devices share evenly."""
    return items + [items[-1]] * (-len(items) % multiple)


def _stream(codec, size: Size, settings, length: int, outputs, clip: int) -> bytes:
    info = VideoInfo(width=size.width, height=size.height, bit_depth=size.bit_depth)
    out = io.BytesIO()
    with StreamWriter(out, codec.header(info, settings, length)) as writer:
        for unit, cond, payload in outputs:
            writer.write(make_packet(unit, cond, payload, clip))
    return out.getvalue()


def decode_batch(
    codec: Codec, streams: Sequence[bytes], *, mesh: Mesh | None = None
) -> list[Video]:
    """Decodes streams of one model, spread over the devices of a mesh.

    Streams may differ in size and length. In each round every device gets its
    next packet before the first result is waited for.

    Args:
      codec: the model that made the streams.
      streams: bytes of `.nvc` files.
      mesh: a mesh; None takes all devices.

    Returns:
      A `Video` per stream; damage is recorded in it, as `codec.decode` does.

    Raises:
      ModelError: a stream was made with another model.
      BitstreamError: a header is damaged.
    """
    devices = (mesh or data_mesh()).devices.ravel()
    readers = [StreamReader(stream) for stream in streams]
    sequences = [
        DecodeSequence(codec.bundle, reader.header, devices[i % devices.size])
        for i, reader in enumerate(readers)
    ]
    events = [reader.events() for reader in readers]
    results: list[list] = [[] for _ in streams]
    live = set(range(len(streams)))
    while live:
        waiting = []
        for i in sorted(live):
            event = next(events[i], None)
            if event is None:
                live.discard(i)
            elif sequences[i].launch(event):
                waiting.append(i)
        for i in waiting:
            results[i].extend(sequences[i].settle())
    return [
        collect(reader.header, result)
        for reader, result in zip(readers, results, strict=True)
    ]

"""`jaxnvc verify`: does a stream decode to exactly what its encoder meant?"""

import argparse

from jaxnvc.bitstream import Damage, Limits, StreamReader
from jaxnvc.cli import device, options
from jaxnvc.cli.stream import Losses, load_codec, open_stream
from jaxnvc.errors import VerificationError
from jaxnvc.video import VideoInfo, open_video

_DESCRIPTION = """\
Decodes a whole stream and checks every CRC and the checksum of the decoded symbols.
Exits with 7 if anything is not as it was written (4 if not even the header can be
read). With --source, also prints the PSNR of each plane.
"""


def add(commands) -> None:
    """Adds the command to a parser's subcommands."""
    parser = commands.add_parser(
        "verify",
        help="check that a stream decodes to what was encoded",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    put = parser.add_argument
    put("input", metavar="IN.nvc", help="a stream, or - for standard input")
    put("--source", metavar="FILE", help="video that was encoded")
    put(
        "--source-start",
        type=options.whole,
        default=0,
        metavar="S",
        help="frame of the source that became frame 0 (encode's --start)",
    )
    options.add_model(parser, "the released model that the stream names")
    options.add_cache(parser)
    options.add_max_pixels(parser)


def run(args: argparse.Namespace) -> int:
    """Verifies; returns 0 or raises."""
    with open_stream(args.input) as file:
        reader = StreamReader(file, Limits(max_pixels=args.max_pixels))
        device.prepare(args.cache_dir)
        codec, info = load_codec(reader.header, args.model)
        with device.CompileWatch(f"{info.width}x{info.height}"):
            _verify(args, reader, codec, info)
    return 0


def _verify(args, reader: StreamReader, codec, info: VideoInfo) -> None:
    """Decodes, compares and prints.

    Raises:
      VerificationError: something is not as it was written.
    """
    from jaxnvc.coding.decoder import decode_events

    losses, num_frames = Losses(expected=0), 0
    quality = _Quality(args, info) if args.source else None
    for event in decode_events(codec.bundle, reader.header, reader.events()):
        if isinstance(event, Damage):
            losses.add(event)
            continue
        losses.frame(event.number)
        num_frames += 1
        if quality is not None:
            quality.add(event)
    losses.end(reader.header.frame_count)
    if losses.num_damages:
        raise VerificationError(
            f"{args.input} is damaged in {losses.num_damages} places, {num_frames} "
            "frames decode; obtain the stream again."
        )
    print(
        f"ok: {num_frames} frames, {reader.num_bytes} bytes, all packets and decoded "
        "symbols match their checksums"
    )
    if quality is not None:
        print(quality.text())


class _Quality:
    """PSNR of decoded frames against the source's."""

    def __init__(self, args: argparse.Namespace, info: VideoInfo):
        self._name, self._next = args.source, 0
        self._reader = open_video(args.source, start=args.source_start)
        self._rows = []
        given, own = self._reader.info, info
        if (given.width, given.height, given.bit_depth) != (
            own.width,
            own.height,
            own.bit_depth,
        ):
            raise VerificationError(
                f"{self._name} is {given.width}x{given.height} of {given.bit_depth} "
                f"bits, the stream is {own.width}x{own.height} of {own.bit_depth}; "
                "give the video that was encoded."
            )

    def add(self, event) -> None:
        """Compares one decoded frame; frames lost before it are passed over."""
        from jaxnvc.metrics import psnr_yuv

        frame = None
        while self._next <= event.number:
            frame = next(self._reader, None)
            if frame is None:
                raise VerificationError(
                    f"{self._name} ends before frame {self._next} of the stream; give "
                    "the video that was encoded."
                )
            self._next += 1
        depth = event.planes.bit_depth
        self._rows.append(psnr_yuv([frame.planes], [event.planes], depth))

    def text(self) -> str:
        """Returns the means of the planes."""
        names = {"y": "Y", "u": "U", "v": "V", "yuv": "YUV"}
        means = {
            label: sum(row[name] for row in self._rows) / len(self._rows)
            for name, label in names.items()
        }
        return "psnr: " + ", ".join(f"{k} {db:.3f} dB" for k, db in means.items())

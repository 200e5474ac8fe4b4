"""`jaxnvc decode`: a `.nvc` stream in, a video out."""

import argparse
import contextlib
import dataclasses
import os

from jaxnvc.bitstream import Damage, Limits, Packet, StreamReader
from jaxnvc.cli import device, options, outputs, progress
from jaxnvc.cli import interrupts as interrupting
from jaxnvc.cli.interrupts import Interrupts
from jaxnvc.cli.stream import Losses, load_codec, open_stream, packets_and_damage
from jaxnvc.errors import BitstreamError, UsageError
from jaxnvc.video import (
    OUTPUT_SUFFIXES,
    FrameMd5Writer,
    VideoFrame,
    VideoInfo,
    create_video,
)

_DESCRIPTION = """\
Decodes a .nvc stream to a lossless video: .y4m, .mkv (FFV1), .mp4 (H.264 at qp 0),
.yuv (raw planes) or - (y4m on standard output).
"""

_EPILOG = """\
From a damaged stream everything that can be decoded is written: the frames before the
damage and those from the next intra frame on. Each damage is told with its byte offset
and the frames it cost, the file is kept, and the exit code is 4. Ctrl-C finishes the
frame in progress and keeps the file (exit 130). If standard output is closed by its
reader, the command ends quietly with 0.
"""


def add(commands) -> None:
    """Adds the command to a parser's subcommands."""
    parser = commands.add_parser(
        "decode",
        help="decode a stream",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    put = parser.add_argument
    put("input", metavar="IN.nvc", help="a stream, or - for standard input")
    put("output", metavar="OUT", help=f"{', '.join(OUTPUT_SUFFIXES)} or -")
    options.add_model(parser, "the released model that the stream names")
    put("--start", type=options.whole, default=0, metavar="S", help="first frame")
    put("--frames", type=options.count, metavar="N", help="at most N frames")
    put("--framemd5", metavar="FILE", help="write a checksum per frame, as FFmpeg's")
    put("--strict", action="store_true", help="stop at the first damage")
    options.add_overwrite(parser)
    options.add_progress(parser)
    options.add_cache(parser)
    options.add_max_pixels(parser)


def run(args: argparse.Namespace) -> int:
    """Decodes; returns the exit code."""
    suffix = os.path.splitext(args.output)[1].lower()
    if args.output != "-" and suffix not in OUTPUT_SUFFIXES:
        raise UsageError(
            f"{args.output} does not end in the name of an output format: use "
            f"{', '.join(OUTPUT_SUFFIXES)}, or - for y4m on standard output."
        )
    if args.framemd5 == "-":
        raise UsageError("--framemd5 writes a file: give its name.")
    outputs.settle([args.input], [args.output, args.framemd5], args.overwrite)
    with Interrupts() as interrupts, open_stream(args.input) as file:
        limits = Limits(max_pixels=args.max_pixels)
        decoding = _Decoding(args, StreamReader(file, limits), interrupts)
        try:
            decoding.run()
        except BitstreamError:
            if not interrupts.requested:
                raise
        if interrupts.requested:
            return interrupting.EXIT_CODE
    return BitstreamError.exit_code if decoding.losses.num_damages else 0


class _Decoding:
    """One run of the command.

    Attributes:
      losses: the damages met.
    """

    def __init__(self, args, reader: StreamReader, interrupts: Interrupts):
        self._args, self._reader, self._interrupts = args, reader, interrupts
        self._stop_frame = None
        if args.frames is not None:
            self._stop_frame = args.start + args.frames
        self.losses = Losses(expected=0)
        self._video = self._checksums = None
        self._stack = contextlib.ExitStack()

    def run(self) -> None:
        """Decodes into the outputs.

        Raises:
          BitstreamError: nothing can be decoded, or damage if strict.
          UsageError: the stream ends before the first frame asked for.
        """
        args, header = self._args, self._reader.header
        device.prepare(args.cache_dir)
        codec, info = load_codec(header, args.model)
        size = f"{info.width}x{info.height}"
        with device.CompileWatch(size, quiet=args.quiet) as watch:
            total = header.frame_count - args.start if header.frame_count else None
            if args.frames is not None:
                total = args.frames if total is None else min(total, args.frames)
            meter = progress.Progress(
                progress.choose_style(
                    quiet=args.quiet, as_json=args.progress == "json"
                ),
                watch,
                total=total,
                frame_rate=info.frame_rate,
            )
            strict_error = None
            with self._stack:
                try:
                    self._decode(codec, info, meter)
                except _StrictStop as stop:
                    strict_error = stop.error
                self._drop_empty(meter)
            if meter.frames:
                meter.finish()
        if strict_error is not None:
            raise strict_error
        self._check_any(meter)

    def _decode(self, codec, info: VideoInfo, meter) -> None:
        """Decodes the frames asked for."""
        from jaxnvc.coding.decoder import decode_events

        args, header = self._args, self._reader.header
        events = self._opening(packets_and_damage(self._reader, args.start), info)
        for event in decode_events(codec.bundle, header, events):
            if isinstance(event, Damage):
                if args.strict:
                    raise _StrictStop(BitstreamError(event.reason, event.offset))
                self.losses.add(event)
                continue
            if self._stop_frame is not None and event.number >= self._stop_frame:
                # What lies beyond is not looked at, be it damaged or not.
                self.losses.end(self._stop_frame)
                return
            self.losses.frame(event.number)
            if event.number >= args.start:
                self._put(event, info, meter.frames)
                first_shown = max(args.start, event.packet.first_frame)
                added = event.packet.num_bytes if event.number == first_shown else 0
                meter.update(event.packet.qp, meter.num_bytes + added)
            if self._interrupts.requested or event.number + 1 == self._stop_frame:
                return
        ends = [n for n in (self._stop_frame, header.frame_count) if n]
        self.losses.end(min(ends) if header.frame_count else 0)

    def _opening(self, events, info: VideoInfo):
        """Passes events on, and makes the outputs when the first packet is there.

        That packet tells whether frames have times; and a folder that cannot be
        written is found out before anything is compiled.
        """
        for event in events:
            if self._video is None and isinstance(event, Packet):
                self._open_outputs(_output_info(info, timed=event.pts is not None))
            yield event

    def _open_outputs(self, info: VideoInfo) -> None:
        args, stack = self._args, self._stack
        self._video = create_video(args.output, info, overwrite=True)
        stack.push(self._video)
        if args.framemd5:
            self._checksums = FrameMd5Writer(args.framemd5, info, overwrite=True)
            stack.enter_context(self._checksums)

    def _put(self, event, info: VideoInfo, index: int) -> None:
        """Writes a frame to the outputs."""
        if event.pts is not None:
            pts = shown = event.pts
        else:
            pts = event.number
            # Only these containers can leave a gap where frames are lost.
            keeps_times = self._args.output.lower().endswith((".mkv", ".mp4"))
            shown = pts - self._args.start if keeps_times else index
        self._video.write(VideoFrame(event.planes, shown))
        if self._checksums is not None:
            self._checksums.write(VideoFrame(event.planes, pts))

    def _drop_empty(self, meter) -> None:
        """Removes an output that got no frame, without complaint about it."""
        if self._video is not None and meter.frames == 0:
            self._video.close(commit=False)

    def _check_any(self, meter) -> None:
        """Raises unless a frame was written or the reason has been told."""
        if meter.frames or self._interrupts.requested:
            return
        if self.losses.num_damages:
            raise BitstreamError(
                f"not one frame of {self._args.input} could be decoded, nothing was "
                "written; obtain the stream again."
            )
        if self.losses.expected:
            raise UsageError(
                f"the stream has {self.losses.expected} frames, so it ends before "
                f"frame {self._args.start}: give a smaller --start."
            )
        raise BitstreamError(f"{self._args.input} holds no frame; encode it again.")


class _StrictStop(Exception):
    """Leaves the decoding loop with the damage that ended it."""

    def __init__(self, error: BitstreamError):
        super().__init__(str(error))
        self.error = error


def _output_info(info: VideoInfo, *, timed: bool) -> VideoInfo:
    """Returns the output's description: without times, one tick is one frame."""
    if timed or info.frame_rate is None:
        return info
    return dataclasses.replace(info, time_base=1 / info.frame_rate)

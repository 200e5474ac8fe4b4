"""`jaxnvc encode`: a video in, a `.nvc` stream out."""

import argparse
import collections
import contextlib
import os
from collections.abc import Iterable, Iterator

from jaxnvc.bitstream import StreamWriter
from jaxnvc.cli import device, options, outputs, progress, stats
from jaxnvc.cli import interrupts as interrupting
from jaxnvc.cli.console import console
from jaxnvc.cli.interrupts import Interrupts
from jaxnvc.cli.source import FrameSource, duration_s, raw_format
from jaxnvc.errors import UsageError
from jaxnvc.video import OUTPUT_SUFFIXES, VideoFrame, create_video

DEFAULT_QP = 32

_DESCRIPTION = """\
Encodes a video to a .nvc stream.

QUALITY: --qp runs from 0 to 63, and HIGHER IS BETTER QUALITY AND MORE BITS.
(The opposite of x264 and x265, as usual for neural codecs.)

The targets --target-psnr, --bitrate and --target-size find a qp for the whole clip
by trial: they hold the decoded input in memory and encode it about seven times. The
result is within one step of qp; a rate target is not exceeded.
"""

_EPILOG = """\
Ctrl-C finishes the frames in progress and leaves a valid file (exit 130). Frames before
damage in the input are encoded to a valid file (exit 3). If standard output is closed
by its reader, the command ends quietly with 0.
"""


def add(commands) -> None:
    """Adds the command to a parser's subcommands."""
    parser = commands.add_parser(
        "encode",
        help="encode a video (higher --qp = better quality and more bits)",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    put = parser.add_argument
    put("input", metavar="IN", help="video file, or - for y4m on standard input")
    put("output", metavar="OUT.nvc", help="stream to write, or - for standard output")
    options.add_model(parser, "the released model, see `jaxnvc models`")
    _add_quality(parser)
    put(
        "--gop",
        type=options.gop,
        default=-1,
        metavar="N",
        help="distance of intra frames, -1: only the first (default)",
    )
    put("--frames", type=options.count, metavar="N", help="encode at most N frames")
    put("--start", type=options.whole, default=0, metavar="S", help="skip S frames")
    put(
        "--precision",
        choices=["float32", "bfloat16"],
        default="float32",
        help="of the networks: bfloat16 is faster on a GPU or TPU, and "
        "decoded pixels drift a little from the encoder's (default: float32)",
    )
    put("--recon", metavar="FILE", help="also write what a decoder will show")
    put("--stats", metavar="FILE.json|.csv", help="write bytes and PSNR per frame")
    put("--raw-size", type=options.dimensions, metavar="WxH", help="IN is raw 4:2:0")
    put("--raw-depth", type=int, choices=[8, 10], help="bits of raw video (default: 8)")
    put("--raw-rate", type=options.frame_rate, metavar="FPS", help="of raw video")
    options.add_overwrite(parser)
    options.add_progress(parser)
    options.add_cache(parser)


def _add_quality(parser: argparse.ArgumentParser) -> None:
    """Adds the ways to say how good the result shall be."""
    quality = parser.add_mutually_exclusive_group()
    quality.add_argument(
        "--qp",
        type=options.qp,
        metavar="0..63",
        help=f"quality: HIGHER = BETTER and more bits (default: {DEFAULT_QP})",
    )
    quality.add_argument(
        "--target-psnr",
        type=options.decibels,
        metavar="DB",
        help="lowest qp with this mean YUV-PSNR, (6 Y + U + V) / 8",
    )
    quality.add_argument(
        "--bitrate",
        type=options.bitrate,
        metavar="800k",
        help="highest qp within these bits per second",
    )
    quality.add_argument(
        "--target-size",
        type=options.size,
        metavar="10MB",
        help="highest qp within this file size",
    )


def run(args: argparse.Namespace) -> int:
    """Encodes; returns the exit code."""
    stats.check_suffix(args.stats)
    if os.path.splitext(args.output)[1].lower() in OUTPUT_SUFFIXES:
        raise UsageError(
            f"{args.output} is the name of a video, and encode writes streams: give a "
            "name that ends in .nvc."
        )
    raw = raw_format(args)
    written = [args.output, args.recon, args.stats]
    outputs.settle([args.input], written, args.overwrite)
    with Interrupts() as interrupts:
        with FrameSource(args, raw, lambda: interrupts.requested) as source:
            _encode(args, source, interrupts)
        if interrupts.requested:
            return interrupting.EXIT_CODE
    if source.error is not None:
        raise source.error
    return 0


def _encode(args, source: FrameSource, interrupts: Interrupts) -> None:
    """Loads the model, settles the quality and writes the outputs."""
    device.prepare(args.cache_dir, args.precision)
    import jaxnvc

    info = source.info
    model = [args.model] if args.model else []
    codec = jaxnvc.load(*model, precision=args.precision)
    bits = f" at {info.bit_depth} bits" if info.bit_depth != 8 else ""
    what = f"{info.width}x{info.height}{bits}"
    with device.CompileWatch(what, quiet=args.quiet) as watch:
        frames: Iterable[VideoFrame] = source
        qp = DEFAULT_QP if args.qp is None else args.qp
        if args.target_psnr or args.bitrate or args.target_size:
            frames = list(source)
            qp = _search(args, codec, frames, source, interrupts)
        settings = codec.settings(qp=qp, gop=args.gop, num_frames=source.total)
        _write(args, codec, settings, frames, source, watch)


def _search(args, codec, frames, source: FrameSource, interrupts: Interrupts) -> int:
    """Returns the qp that meets the target."""
    from jaxnvc.cli.rate import Search

    if interrupts.requested:
        raise KeyboardInterrupt
    search = Search(
        codec,
        frames,
        source.info,
        gop=args.gop,
        with_times=source.with_times,
        stop=lambda: interrupts.requested,
    )
    if args.target_psnr:
        qp = search.reaching_psnr(args.target_psnr)
    else:
        size = args.target_size
        if args.bitrate:
            size = int(args.bitrate * duration_s(frames, source.info) / 8)
        qp = search.within_size(size)
    if not args.quiet:
        console.say(f"encoding with qp {qp}")
    return qp


def _write(args, codec, settings, frames, source: FrameSource, watch) -> None:
    """Encodes frames and writes the stream, the reconstruction and the statistics."""
    waiting: collections.deque[VideoFrame] = collections.deque()
    report = stats.Stats()
    meter = progress.Progress(
        progress.choose_style(quiet=args.quiet, as_json=args.progress == "json"),
        watch,
        total=source.total,
        frame_rate=source.info.frame_rate,
    )
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(outputs.StreamFile(args.output))
        recon = None
        if args.recon:
            recon = create_video(args.recon, source.info, overwrite=True)
            stack.enter_context(recon)
        with out.errors():
            writer = StreamWriter(out.file, codec.header(source.info, settings))
        for coded in codec.encode_iter(
            _kept(frames, waiting),
            settings,
            with_times=source.with_times,
            reconstruct=bool(args.recon or args.stats),
        ):
            sources = [waiting.popleft() for _ in range(coded.packet.num_frames)]
            with out.errors():
                num_bytes = writer.write(coded.packet)
            if recon is not None:
                for frame, shown in zip(sources, coded.reconstructions, strict=True):
                    recon.write(VideoFrame(shown, frame.pts))
            if args.stats:
                report.add(coded, num_bytes, [frame.planes for frame in sources])
            meter.update(settings.qp, writer.num_bytes, len(sources))
        if meter.frames == 0:  # interrupted before there was anything to finish
            raise KeyboardInterrupt
        with out.errors():
            writer.close()
        meter.finish(writer.num_bytes)
    if args.stats:
        report.write(args.stats, _summary(args, codec, settings, source, meter))


def _kept(frames: Iterable[VideoFrame], waiting) -> Iterator[VideoFrame]:
    """Yields frames, and keeps each until its packet comes out."""
    for frame in frames:
        waiting.append(frame)
        yield frame


def _summary(args, codec, settings, source: FrameSource, meter) -> dict:
    """Returns what `--stats` says of the whole stream."""
    pixels = source.info.width * source.info.height * meter.frames
    return {
        "input": args.input,
        "output": args.output,
        "model": codec.bundle.name,
        "model_id": codec.bundle.model_id.hex(),
        "qp": settings.qp,
        "gop": settings.gop,
        "width": source.info.width,
        "height": source.info.height,
        "bit_depth": source.info.bit_depth,
        "frames": meter.frames,
        "bytes": meter.num_bytes,
        "bits_per_pixel": 8 * meter.num_bytes / pixels,
        "bitrate_bps": meter.bitrate_bps,
        "fps": meter.fps,
        "compile_s": meter.compile_s,
    }

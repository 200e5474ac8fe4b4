"""`jaxnvc robustness`: what motion, a lost picture and time do to codecs."""

import argparse
import dataclasses
import json
import pathlib
from collections.abc import Iterable

from jaxnvc.cli import device, evaluate, options
from jaxnvc.cli.console import console
from jaxnvc.errors import UsageError
from jaxnvc.video import VideoFrame, VideoInfo, Yuv420, create_video, open_video

_DESCRIPTION = """\
motion: eight synthetic motions of stills (sharpen, lighten, zoom, fade, blur, darken,
        pulse, shake), measured as `jaxnvc eval` measures; a class per motion.
blank:  the clips, and the clips with frame 10 replaced by grey; how far quality falls
        after it, and for how many frames.
drift:  a clip looped forth and back for hundreds of frames after one intra frame, by
        models: quality span by span.
"""


def add(commands) -> None:
    """Adds the command to a parser's subcommands."""
    parser = commands.add_parser(
        "robustness",
        help="measure codecs on hard cases: motion, a blank frame, long sequences",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    put = parser.add_argument
    put("study", choices=sorted(_STUDIES), help="what is done to the clips")
    put("clips", nargs="+", metavar="CLIPS", help="videos; of motion also stills")
    put(
        "--frames",
        type=options.count,
        metavar="N",
        help="motion: of each (32); blank: of each clip (all); drift: in all (309)",
    )
    put("--span", type=options.count, default=28, help="drift: of the loop (28)")
    evaluate.add_measuring(parser)


def run(args: argparse.Namespace) -> int:
    """Measures; returns the exit code."""
    return _STUDIES[args.study](args)


def _motion(args: argparse.Namespace) -> int:
    from jaxnvc.evaluation.motion_patterns import NUM_FRAMES, PATTERNS, moving_still
    from jaxnvc.evaluation.suite import Suite
    from jaxnvc.video import BT709, yuv420_to_rgb

    count, args.frames = args.frames or NUM_FRAMES, None

    def moving() -> Suite:
        sequences = []
        for path in args.clips:
            with open_video(path, frames=1) as reader:
                picture = next(reader).planes
                still = yuv420_to_rgb(picture, reader.info.colour.filled_from(BT709))
            for pattern in PATTERNS:
                name = f"{pathlib.Path(path).stem}_{pattern}"
                made = _write(args.out, name, moving_still(still, pattern, count))
                sequences.append(dataclasses.replace(made, group=pattern))
        return Suite("motion", tuple(sequences))

    return evaluate.measure(args, moving)


def _blank(args: argparse.Namespace) -> int:
    from jaxnvc.evaluation.blank_frame import SUFFIX, recoveries, with_blank
    from jaxnvc.evaluation.suite import Suite

    count, args.frames = args.frames, None

    def blanked() -> Suite:
        sequences = []
        for path in args.clips:
            with open_video(path, frames=count) as reader:
                frames = [frame.planes for frame in reader]
            name = pathlib.Path(path).stem
            made = _write(args.out, name, frames)
            blank = _write(args.out, name + SUFFIX, with_blank(frames))
            sequences += [made, dataclasses.replace(blank, group="blank frame")]
        return Suite("blank", tuple(sequences))

    def finish(evaluation) -> list[pathlib.Path]:
        found = recoveries(evaluation.results, pathlib.Path(args.out))
        for one in found:
            after = one["recovery_frames"]
            console.say(
                f"{one['clip']} {one['codec']} {one['setting']}: "
                f"{one['loss_db']:+.2f} dB lost, recovered after "
                f"{'no' if after is None else after} frames"
            )
        return _keep(args.out, "blank", found, lambda plots: plots.recovery(found))

    return evaluate.measure(args, blanked, finish)


def _drift(args: argparse.Namespace) -> int:
    names = [name for name in args.codecs.split(",") if name]
    if len(args.clips) > 1 or len(names) > 1:
        raise UsageError("drift is measured of one model on one clip: give one of each")
    device.prepare(args.cache_dir)
    from jaxnvc.evaluation.drift import drift_report

    report = drift_report(
        names[0],
        args.clips[0],
        qps=args.qps or (12, 24, 36),
        count=args.frames or 309,
        span=args.span,
    )
    written = _keep(args.out, "drift", report, lambda plots: plots.drift(report))
    if not args.quiet:
        console.say("wrote " + ", ".join(map(str, written)))
    return 0


def _write(out: str, name: str, frames: Iterable[Yuv420]):
    """Writes a clip that is to be measured; returns it as a sequence of a suite."""
    from jaxnvc.evaluation.suite import Sequence

    path, writer = pathlib.Path(out) / "clips" / f"{name}.y4m", None
    path.parent.mkdir(exist_ok=True)
    for frame in frames:
        if writer is None:
            info = VideoInfo(
                width=frame.width,
                height=frame.height,
                bit_depth=frame.bit_depth,
                frame_rate=1 / VideoInfo.time_base,
            )
            writer = create_video(str(path), info, overwrite=True)
        writer.write(VideoFrame(frame))
    writer.close()
    return Sequence(name=name, file=path.name, path=str(path))


def _keep(out: str, name: str, values, draw) -> list[pathlib.Path]:
    """Writes a study's figures as JSON and, where matplotlib is there, as plots."""
    import importlib.util

    folder = pathlib.Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(values, indent=1) + "\n")
    if not importlib.util.find_spec("matplotlib"):
        console.warn("plots are left out: install jaxnvc[bench]")
        return [path]
    from jaxnvc.evaluation import plots

    return [path, *plots.save(draw(plots), folder / name)]


_STUDIES = {"motion": _motion, "blank": _blank, "drift": _drift}

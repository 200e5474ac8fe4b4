"""Makes the golden streams: `python -m tests.golden.make`.

Run once per format version; streams already here are never made again, because
they must decode for ever.
"""

import pathlib

import jaxnvc
from jaxnvc.models.bundle import save_bundle
from jaxnvc.video import VideoFrame, VideoInfo, create_video, open_video
from jaxnvc.video.frames import Yuv420
from tests.coding.test_portability import roughen
from train.state import initial_params

FOLDER = pathlib.Path(__file__).parent
# By name: model, qp and gop. The first model blends vectors, the last one's symbols
# have a heavy tail, see `AvsEemConfig`.
STREAMS = {
    "low": ("tiny", 16, -1),
    "high": ("tiny", 52, 3),
    "overlapped": ("tiny-overlapped", 40, -1),
    "tailed": ("tiny-tailed", 28, 4),
}


def small(planes: Yuv420) -> Yuv420:
    """Crops a frame to 64x64."""
    return Yuv420(
        planes.y[:64, 64:128].copy(),
        planes.u[:32, 32:64].copy(),
        planes.v[:32, 32:64].copy(),
    )


def model_of(name: str) -> pathlib.Path:
    """Returns the bundle of a stream."""
    return FOLDER / f"{STREAMS[name][0]}.nvcm"


def _make_model(path: pathlib.Path) -> None:
    from jaxnvc.codecs import registry

    presets = {"intra": "intra/tiny", "inter": "avs_eem/tiny"}
    units = {
        unit: {
            "family": preset.split("/")[0],
            "config": vars(registry.PRESETS[preset]),
        }
        for unit, preset in presets.items()
    }
    params = {
        unit: roughen(initial_params(registry.build(preset), 1))
        for unit, preset in presets.items()
    }
    meta = {"name": "golden-tiny", "portable": True, "skip_thresholds": [8, 10, 12]}
    save_bundle(str(path), params, {**meta, "refresh_period": 2, **units})


def main() -> None:
    """Writes the models and the streams that are missing."""
    with open_video(str(FOLDER.parents[1] / "examples" / "cars.mkv"), frames=6) as clip:
        frames = [small(frame.planes) for frame in clip]
    for name, (_, qp, gop) in STREAMS.items():
        path, model = FOLDER / f"{name}.nvc", model_of(name)
        if path.exists():
            continue
        if not model.exists():
            _make_model(model)
        codec = jaxnvc.load(str(model))
        path.write_bytes(codec.encode(frames, qp=qp, gop=gop, frame_rate=25))
        info = VideoInfo(width=64, height=64)
        with create_video(str(FOLDER / f"{name}.y4m"), info) as writer:
            for number, planes in enumerate(codec.decode(path.read_bytes()).frames):
                writer.write(VideoFrame(planes, number))


if __name__ == "__main__":
    main()

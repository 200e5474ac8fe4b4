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
MODEL = FOLDER / "tiny.nvcm"
STREAMS = {"low": (16, -1), "high": (52, 3)}


def small(planes: Yuv420) -> Yuv420:
    """Crops a frame to 64x64."""
    return Yuv420(
        planes.y[:64, 64:128].copy(),
        planes.u[:32, 32:64].copy(),
        planes.v[:32, 32:64].copy(),
    )


def _make_model() -> None:
    from jaxnvc.codecs import registry

    units = {
        unit: {
            "family": preset.split("/")[0],
            "config": vars(registry.PRESETS[preset]),
        }
        for unit, preset in (("intra", "intra/tiny"), ("inter", "avs_eem/tiny"))
    }
    params = {
        unit: roughen(initial_params(registry.build(preset), 1))
        for unit, preset in (("intra", "intra/tiny"), ("inter", "avs_eem/tiny"))
    }
    meta = {"name": "golden-tiny", "portable": True, "skip_thresholds": [8, 10, 12]}
    save_bundle(str(MODEL), params, {**meta, "refresh_period": 2, **units})


def main() -> None:
    """Writes the model and the streams that are missing."""
    if not MODEL.exists():
        _make_model()
    codec = jaxnvc.load(str(MODEL))
    with open_video(str(FOLDER.parents[1] / "examples" / "cars.mkv"), frames=6) as clip:
        frames = [small(frame.planes) for frame in clip]
    for name, (qp, gop) in STREAMS.items():
        path = FOLDER / f"{name}.nvc"
        if path.exists():
            continue
        path.write_bytes(codec.encode(frames, qp=qp, gop=gop, frame_rate=25))
        info = VideoInfo(width=64, height=64)
        with create_video(str(FOLDER / f"{name}.y4m"), info) as writer:
            for number, planes in enumerate(codec.decode(path.read_bytes()).frames):
                writer.write(VideoFrame(planes, number))


if __name__ == "__main__":
    main()

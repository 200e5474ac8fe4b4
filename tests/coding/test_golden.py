"""Streams made long ago still decode, to the same symbols and the same picture."""

import numpy as np
import pytest

import jaxnvc
from jaxnvc.models.bundle import find
from jaxnvc.video import open_video
from tests.golden.make import FOLDER, STREAMS, model_of

# Released models by the ids that streams name them by: a stream finds its model.
RELEASED = {
    "eem-lite-1": "dc9a1e94f784ccd741dd4f8b0c501054",
    "eem-lite-2": "8f1002cebb0af9c82007d3cba4beb138",
}


@pytest.mark.parametrize("name", RELEASED)
def test_streams_of_an_earlier_release_find_their_model(name):
    path = find(bytes.fromhex(RELEASED[name]), "eem-lite")
    assert path.stem == name
    assert jaxnvc.load(name).bundle.model_id.hex() == RELEASED[name]


@pytest.mark.parametrize("name", STREAMS)
def test_a_golden_stream_decodes(name):
    codec = jaxnvc.load(str(model_of(name)))
    video = codec.decode((FOLDER / f"{name}.nvc").read_bytes(), strict=True)
    with open_video(str(FOLDER / f"{name}.y4m")) as reader:
        expected = [frame.planes for frame in reader]
    assert video.numbers == list(range(len(expected)))
    for ours, theirs in zip(video.frames, expected, strict=True):
        for plane, truth in zip(ours.planes, theirs.planes, strict=True):
            # Symbols are exact (their checks hold); pixels may round differently
            # on another device or JAX version.
            difference = np.abs(plane.astype(int) - truth)
            assert difference.max() <= 3
            assert (difference > 0).mean() < 0.01

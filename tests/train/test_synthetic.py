"""Stills become windows that look like video."""

import dataclasses

import numpy as np
import pytest

from train.data.clips import Clip
from train.data.synthetic import Effects, moving_window, with_effects

FRAMES, SIDE = 6, 32


@pytest.fixture(scope="module")
def still(cars) -> Clip:
    planes = cars[0]
    return Clip("still", planes.y[None], np.stack([planes.u, planes.v], -1)[None])


@pytest.fixture
def views(cars):
    """The same view of a real picture at every time, luma and chroma."""
    planes = cars[0]
    luma = planes.y[:SIDE, :SIDE, None].astype(float)
    chroma = np.stack([planes.u, planes.v], -1)[: SIDE // 2, : SIDE // 2].astype(float)
    return [(luma, chroma)] * FRAMES


def _with(views, **changes):
    return with_effects(views, dataclasses.replace(Effects.none(FRAMES), **changes))


def test_windows_have_the_asked_shape_and_move(still):
    y, uv = moving_window(still, FRAMES, SIDE, np.random.default_rng(0))
    assert y.shape == (FRAMES, SIDE, SIDE)
    assert uv.shape == (FRAMES, SIDE // 2, SIDE // 2, 2)
    assert y.dtype == uv.dtype == np.uint8
    assert all(np.any(a != b) for a, b in zip(y[1:], y[:-1], strict=True))


def test_a_seed_makes_one_window_and_another_seed_another(still):
    first, again, other = (
        moving_window(still, FRAMES, SIDE, np.random.default_rng(seed))[0]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_no_effect_keeps_the_samples(views):
    y, uv = _with(views)
    np.testing.assert_array_equal(y[3], views[3][0][..., 0])
    np.testing.assert_array_equal(uv[3], views[3][1])


def test_a_pulse_brightens_its_frame_alone(views):
    gain = np.ones(FRAMES)
    gain[2] = 1.2
    y, _ = _with(views, gain=gain)
    means = y.mean((1, 2))
    assert means[2] > 1.1 * means[0]
    np.testing.assert_array_equal(np.delete(means, 2), means[0])


def test_a_fade_ends_in_grey(views):
    y, uv = _with(views, fade=np.linspace(0, 1, FRAMES))
    assert (y[-1] == 128).all()
    assert (uv[-1] == 128).all()
    assert (np.diff(y.std((1, 2))) <= 0).all()


def test_blur_takes_detail_and_keeps_the_mean(views):
    y, _ = _with(views, blur=np.linspace(0, 1, FRAMES))
    detail = [np.abs(np.diff(frame.astype(float), axis=1)).mean() for frame in y]
    assert detail[-1] < 0.6 * detail[0]
    assert abs(y[-1].mean() - y[0].mean()) < 2


def test_all_effects_are_drawn_sooner_or_later():
    drawn = [Effects.drawn(8, 64, np.random.default_rng(seed)) for seed in range(200)]
    for share in (
        np.mean([np.ptp(e.gain) > 0 for e in drawn]),
        np.mean([e.fade.any() for e in drawn]),
        np.mean([e.blur.any() for e in drawn]),
        np.mean([e.occluder > 0 for e in drawn]),
    ):
        assert 0.03 < share < 0.5


def test_something_in_front_hides_what_is_behind(still, monkeypatch):
    """Without changes of light, all but a square is the window without an occluder."""
    plain = Effects.none(FRAMES)

    def window(effects):
        monkeypatch.setattr(Effects, "drawn", lambda *_: effects)
        return moving_window(still, FRAMES, SIDE, np.random.default_rng(5))[0]

    behind = window(plain)
    hidden = window(dataclasses.replace(plain, occluder=12)) != behind
    shares = hidden.mean((1, 2))
    assert shares[0] > 0.1 * (12 / SIDE) ** 2
    assert shares.max() <= (12 / SIDE) ** 2

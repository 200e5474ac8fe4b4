"""Motion search on source frames: hierarchical block matching, then sub-pixel.

Encoder only: it needs no training and has no normative effect. One vector per
8x8 luma cell, matched over an overlapping window so that neighbours agree. On every
level a cell may take over a neighbour's vector, so that a good one spreads, and then
improves it by a sample.
"""

import jax
import jax.numpy as jnp

from jaxnvc.ops.windows import cut_windows, edged, last_corner, origins

CELL = 8
_COARSE_REACH = 4
_COARSEST = 3
_FLATNESS = 4.0


def search(x: jax.Array, reference: jax.Array, smoothness: jax.Array) -> jax.Array:
    """Finds where each cell of `x` comes from in `reference`.

    Args:
      x: luma [B, H, W] in 8-bit units, H and W multiples of 8.
      reference: the previous frame's luma, same shape.
      smoothness: [B], weight of a vector's difference from its neighbourhood, in
        mean absolute difference of samples: 1.5 log(1 + 2 d) of it for d samples.

    Returns:
      float32 [B, H/8, W/8, 2], displacement (x, y) in luma samples: cell p of
      `x` is predicted by `reference` at p + displacement.
    """
    pyramid = [(x, reference)]
    for _ in range(_COARSEST):
        pyramid.append(tuple(_halve(image) for image in pyramid[-1]))
    flow = _coarse(*pyramid[_COARSEST], smoothness)
    for level in range(_COARSEST - 1, -1, -1):
        cell = CELL >> level
        flow = _spread(*pyramid[level], flow * 2, cell, smoothness)
        flow = _refine(*pyramid[level], flow, cell, smoothness)
    flow = _subpixel(x, reference, flow, smoothness)
    return refine(x, reference, flow, smoothness)


def refine(x, reference, flow: jax.Array, smoothness: jax.Array) -> jax.Array:
    """Improves vectors [B, H/8, W/8, 2] a little; the rest is as for `search`."""
    flow = _spread(x, reference, flow, CELL, smoothness, fractional=True)
    return _subpixel(x, reference, flow, smoothness)


def _halve(x: jax.Array) -> jax.Array:
    batch, height, width = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2).mean((2, 4))


def _box(x: jax.Array, size: int) -> jax.Array:
    """Averages over size x size neighbours, edges replicated, [B, H, W, K]."""
    margin = size // 2
    padded = jnp.pad(x, ((0, 0), (margin,) * 2, (margin,) * 2, (0, 0)), mode="edge")
    height, width = x.shape[1:3]
    rows = sum(padded[:, i : i + height] for i in range(size))
    return sum(rows[:, :, j : j + width] for j in range(size)) / size**2


def _choose(cost: jax.Array, vectors: jax.Array) -> jax.Array:
    """Picks the cheapest vector: cost [B, h, w, K], vectors [B, h, w, K, 2]."""
    best = jnp.argmin(cost, -1)[..., None, None]
    return jnp.take_along_axis(vectors, best, 3)[..., 0, :]


def _offsets(reach: int, spacing: float = 1.0) -> jax.Array:
    """Lists the (x, y) offsets of a square of side 2*reach + 1, row-major."""
    steps = jnp.arange(-reach, reach + 1) * spacing
    rows, columns = jnp.meshgrid(steps, steps, indexing="ij")
    return jnp.stack([columns.ravel(), rows.ravel()], -1)


def _coarse(x, reference, smoothness) -> jax.Array:
    """Tries every shift within the reach at 1/8 resolution."""
    reach = _COARSE_REACH
    height, width = x.shape[1:]
    padded = jnp.pad(reference, ((0, 0), (reach,) * 2, (reach,) * 2), mode="edge")
    side = 2 * reach + 1
    shifted = jnp.stack(
        [
            padded[:, i : i + height, j : j + width]
            for i in range(side)
            for j in range(side)
        ],
        -1,
    )
    cost = _box(jnp.abs(x[..., None] - shifted), 3)
    offsets = _offsets(reach)
    # A mild pull to zero breaks ties; it does not grow with the vector, or global
    # motion would lose against standing still.
    per_offset = jnp.minimum(jnp.abs(offsets).sum(-1), 1)[None, None, None]
    cost = cost + smoothness[:, None, None, None] * per_offset
    return _choose(cost, jnp.broadcast_to(offsets, (*cost.shape, 2)))


def _smooth_median(flow: jax.Array) -> jax.Array:
    """Replaces each vector by a component-wise median of its 3x3 cells.

    Median of the three column-wise medians of rows: minima and maxima alone,
    where a sort of nine would cost more than the search.
    """
    height, width = flow.shape[1:3]
    padded = jnp.pad(flow, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = _median3(*(padded[:, i : i + height] for i in range(3)))
    return _median3(*(rows[:, :, j : j + width] for j in range(3)))


def _median3(a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:
    return jnp.maximum(jnp.minimum(a, b), jnp.minimum(jnp.maximum(a, b), c))


def _cells_last(image: jax.Array, corner: jax.Array, side: int) -> jax.Array:
    """Cuts windows [side, side, B, h, w], see `cut_windows`.

    The cells stand last, so that sums over a window are vector additions over cells.
    """
    return jnp.transpose(cut_windows(image, corner, side), (3, 4, 0, 1, 2))


def _block_and_window(x, reference, flow, cell: int):
    """Returns each cell's source block and its displaced reference window.

    Blocks reach half a cell around their cell; windows add one sample around.
    """
    margin = cell // 2
    block = cell + 2 * margin
    origin = origins(x, cell)
    blocks = _cells_last(edged(x, margin), origin, block)
    far = margin + 1 + cell
    wide = edged(reference, far)
    corner = origin + flow.astype(jnp.int32) + cell
    limit = last_corner(wide, block + 2)
    return blocks, _cells_last(wide, jnp.clip(corner, 0, limit), block + 2)


def _candidates(flow: jax.Array) -> list[jax.Array]:
    """Lists each cell's own vector, the smooth one and its four neighbours'."""
    height, width = flow.shape[1:3]
    padded = jnp.pad(flow, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    beside = [(0, 1), (1, 0), (1, 2), (2, 1)]
    neighbours = [padded[:, i : i + height, j : j + width] for i, j in beside]
    return [flow, _smooth_median(flow), *neighbours]


def _spread(x, reference, flow, cell: int, smoothness, *, fractional: bool = False):
    """Gives each cell the best of its own and its neighbours' vectors.

    Args:
      x: image of this level [B, H, W].
      reference: the other image.
      flow: [B, H/cell, W/cell, 2], whole numbers unless `fractional`.
      cell: side of a cell.
      smoothness: as of `search`.
      fractional: interpolates the reference linearly.
    """
    margin = max(cell // 4, 1)
    side = cell + 2 * margin
    blocks = _cells_last(edged(x, margin), origins(x, cell), side)

    def predicted(vectors):
        if fractional:
            return _displaced(reference, vectors, cell, margin)
        far = 2 * cell + margin + 2
        wide = edged(reference, far)
        corner = origins(x, cell) + vectors.astype(jnp.int32) + (far - margin)
        return _cells_last(wide, jnp.clip(corner, 0, last_corner(wide, side)), side)

    centre = _smooth_median(flow)
    candidates = _candidates(flow)
    cost = jnp.stack(
        [jnp.abs(blocks - predicted(vectors)).mean((0, 1)) for vectors in candidates],
        -1,
    )
    vectors = jnp.stack(candidates, -2)
    return _choose(cost + _distance(vectors, centre, smoothness), vectors)


def _distance(vectors, centre, smoothness):
    """Costs what it takes to tell a vector from its neighbourhood.

    Like the length of its code, the cost rises by less and less: a cell that has to
    differ may differ freely.
    """
    length = jnp.abs(vectors - centre[..., None, :]).sum(-1)
    return smoothness[:, None, None, None] * 1.5 * jnp.log1p(2 * length)


def _refine(x, reference, flow, cell: int, smoothness) -> jax.Array:
    """Tries the eight integer neighbours of each vector on this level."""
    blocks, windows = _block_and_window(x, reference, flow, cell)
    side = blocks.shape[0]
    # Every other row decides as well as all of them, at half the cost.
    blocks = blocks[::2]
    cost = jnp.stack(
        [
            jnp.abs(blocks - windows[i : i + side : 2, j : j + side]).mean((0, 1))
            for i in range(3)
            for j in range(3)
        ],
        -1,
    )
    vectors = flow[..., None, :] + _offsets(1)[None, None, None]
    cost = cost + _distance(vectors, _smooth_median(flow), smoothness)
    return _choose(cost, vectors)


def _around(mean: jax.Array) -> jax.Array:
    """Averages cells [B, h, w] over themselves and, at half weight, those beside."""
    return _box(mean[..., None], 3)[..., 0] + mean


def _subpixel(x, reference, flow, smoothness) -> jax.Array:
    """Refines by a Gauss-Newton step on the windowed squared difference.

    Each vector is also pulled to the median of its neighbours, the more so the
    less texture there is to hold it.

    Source: Lucas and Kanade, 1981, on overlapping windows.
    """
    batch, height, width = x.shape
    cells = x.reshape(batch, height // CELL, CELL, width // CELL, CELL)
    blocks = jnp.transpose(cells, (2, 4, 0, 1, 3))
    predicted = _displaced(reference, flow, CELL, 1)
    gx = 0.5 * (predicted[1:-1, 2:] - predicted[1:-1, :-2])
    gy = 0.5 * (predicted[2:, 1:-1] - predicted[:-2, 1:-1])
    error = blocks - predicted[1:-1, 1:-1]

    def total(product):
        return _around(product.mean((0, 1)))

    xx, xy, yy = total(gx * gx), total(gx * gy), total(gy * gy)
    ex, ey = total(gx * error), total(gy * error)
    pull = _FLATNESS * (1 + 10 * smoothness)[:, None, None] + 0.05 * (xx + yy)
    towards = pull[..., None] * (_smooth_median(flow) - flow)
    ex, ey = ex + towards[..., 0], ey + towards[..., 1]
    xx, yy = xx + pull, yy + pull
    determinant = xx * yy - xy * xy
    step = jnp.stack([yy * ex - xy * ey, xx * ey - xy * ex], -1)
    return flow + jnp.clip(step / determinant[..., None], -1, 1)


def _displaced(reference, flow, cell: int, margin: int) -> jax.Array:
    """Interpolates linearly each cell's displaced block and a margin around it.

    Returns [side, side, B, h, w], side = cell + 2 margin.
    """
    side = cell + 2 * margin
    far = 2 * cell + margin + 2
    wide = edged(reference, far)
    whole = jnp.floor(flow)
    corner = origins(reference, cell) + whole.astype(jnp.int32) + (far - margin)
    limit = last_corner(wide, side + 1)
    window = _cells_last(wide, jnp.clip(corner, 0, limit), side + 1)
    fx, fy = jnp.moveaxis(flow - whole, -1, 0)[:, None, None]
    rows = window[:-1] + (window[1:] - window[:-1]) * fy
    return rows[:, :-1] + (rows[:, 1:] - rows[:, :-1]) * fx

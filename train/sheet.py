"""A contact sheet: source, reconstruction and difference side by side."""

import numpy as np

_GAIN = 4.0


def save_sheet(path: str, x: np.ndarray, x_hat: np.ndarray) -> None:
    """Writes a PNG with a row for each picture.

    Args:
      path: file to write.
      x: source frames, packed [B, H/2, W/2, 6] in [0, 1].
      x_hat: their reconstructions.
    """
    import av

    rows = [
        np.concatenate([a, b, np.clip(0.5 + _GAIN * (b - a), 0, 1)], axis=1)
        for a, b in zip(_luma(x), _luma(x_hat), strict=True)
    ]
    sheet = (255 * np.clip(np.concatenate(rows), 0, 1) + 0.5).astype(np.uint8)
    with av.open(path, "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width = sheet.shape
        stream.pix_fmt = "gray"
        frame = av.VideoFrame.from_ndarray(sheet, format="gray")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _luma(x: np.ndarray) -> np.ndarray:
    """Unpacks luma [B, H, W]."""
    batch, rows, columns, _ = x.shape
    cells = x[..., :4].reshape(batch, rows, columns, 2, 2)
    return cells.transpose(0, 1, 3, 2, 4).reshape(batch, 2 * rows, 2 * columns)

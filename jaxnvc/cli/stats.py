"""`--stats`: what every frame cost and how good it is, as JSON or CSV."""

import csv
import dataclasses
import io
import json
import os
from typing import Any

from jaxnvc.errors import UsageError
from jaxnvc.video import StagedFile, Yuv420

SUFFIXES = (".json", ".csv")


def check_suffix(path: str | None) -> None:
    """Raises UsageError unless the name tells a format that can be written."""
    if path is not None and os.path.splitext(path)[1].lower() not in SUFFIXES:
        raise UsageError(f"{path} must end in {' or '.join(SUFFIXES)}: rename it.")


@dataclasses.dataclass
class Stats:
    """Rows, one per frame.

    Attributes:
      rows: frame, kind, level, qp, pts, bytes (of the packet, overhead included, all
        booked on a unit's first frame), psnr_y, psnr_u, psnr_v, psnr_yuv in decibels.
    """

    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def add(self, coded, num_bytes: int, sources: list[Yuv420]) -> None:
        """Appends the frames of an `EncodedUnit` of so many bytes."""
        from jaxnvc.metrics import psnr_yuv

        packet = coded.packet
        for i, source in enumerate(sources):
            shown = coded.reconstructions[i]
            quality = psnr_yuv([source], [shown], source.bit_depth)
            row = {
                "frame": len(self.rows),
                "kind": packet.kind.name.lower(),
                "level": packet.level,
                "qp": packet.qp,
                "pts": packet.pts[i] if packet.pts else None,
                "bytes": 0 if i else num_bytes,
            }
            row |= {f"psnr_{plane}": round(db, 4) for plane, db in quality.items()}
            self.rows.append(row)

    def write(self, path: str, summary: dict[str, Any]) -> None:
        """Writes JSON (the summary, means and rows) or CSV (rows alone).

        Raises:
          OutputError: the file cannot be written.
        """
        if path.lower().endswith(".csv"):
            text = self._csv()
        else:
            text = json.dumps(summary | self._means() | {"per_frame": self.rows})
        staged = StagedFile(path, overwrite=True)
        try:
            with staged.errors(), staged.open() as file:
                file.write(text.encode())
            staged.commit()
        finally:
            staged.discard()

    def _means(self) -> dict[str, float]:
        names = [name for name in self.rows[0] if name.startswith("psnr_")]
        return {
            name: sum(row[name] for row in self.rows) / len(self.rows) for name in names
        }

    def _csv(self) -> str:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return buffer.getvalue()

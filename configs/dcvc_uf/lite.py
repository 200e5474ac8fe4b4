"""uf-lite: chunks of 4 frames, intra/lite and dcvc_uf/lite.

The run of configs/avs_eem/lite.py with another family: windows are lengthened to whole
chunks, 5 and then 9 frames.

Paper: DCVC-UF (the lite preset's sizes and transform are ours).
Command: python -m train.main --config configs/dcvc_uf/lite.py --out runs/uf-lite
Hardware: two CPU cores are enough; it has not been trained to its end yet.
Data: a folder of clips and a folder of stills, --set clips=DIR --set stills=DIR.
Expected result: none measured.
"""

import dataclasses
import pathlib

from train.config import TrainConfig, load_config


def get_config() -> TrainConfig:
    """Returns the run."""
    path = pathlib.Path(__file__).parents[1] / "avs_eem" / "lite.py"
    return dataclasses.replace(
        load_config(str(path)), name="uf-lite", inter="dcvc_uf/lite"
    )

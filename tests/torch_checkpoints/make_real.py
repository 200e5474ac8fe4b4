"""Writes `real.pth.tar`; made with PyTorch 2.13.0 (CPU), which nothing else needs.

    python tests/torch_checkpoints/make_real.py

A training status as the published ones: parallel names, and an optimizer that has
made a step. Each weight is drawn from a generator seeded by its name.
"""

import hashlib
import pathlib

import numpy as np
import torch


def main():
    """Makes a model and its optimizer, and saves both."""
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 2, 3), torch.nn.Linear(2, 4, bias=False)
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    net[0](torch.ones(1, 3, 3, 3)).sum().backward()
    optimizer.step()
    weights = {}
    for name, value in net.state_dict().items():
        seed = list(hashlib.sha256(name.encode()).digest()[:4])
        numbers = np.random.default_rng(seed).normal(size=tuple(value.shape))
        weights[f"module.{name}"] = torch.from_numpy(numbers.astype("float32"))
    status = {"epoch": 3, "net": weights, "opt": optimizer.state_dict()}
    torch.save(status, pathlib.Path(__file__).parent / "real.pth.tar")


if __name__ == "__main__":
    main()

"""Run one trial of Hydra's Optuna sweeper and note when it ran; its environment has Hydra, PyTorch and NumPy only."""

import json
import time
from pathlib import Path

import hydra
import numpy as np
import torch
from omegaconf import DictConfig

ACTIVATIONS = {"sigmoid": torch.nn.Sigmoid, "tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}
BATCH = 64


@hydra.main(version_base="1.3", config_path=None, config_name=None)
def main(cfg: DictConfig) -> float:
    begin = time.time()
    torch.set_num_threads(1)
    rows = np.load(Path(cfg.folder) / "rows.npz")
    x, y, x_validation, y_validation = (
        torch.from_numpy(rows[name]) for name in ("train_x", "train_y", "validation_x", "validation_y")
    )
    y, y_validation = y.long(), y_validation.long()
    sizes = [x.shape[1], *(round(cfg[f"width_{k}"]) for k in range(cfg.depth))]
    layers: list[torch.nn.Module] = []
    for fan_in, fan_out in zip(sizes, sizes[1:], strict=False):
        layers += [torch.nn.Linear(fan_in, fan_out), ACTIVATIONS[cfg.activation]()]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=cfg.learning_rate, weight_decay=cfg.l2_lambda / BATCH)
    for _ in range(cfg.n_epochs):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        value = float((model(x_validation).argmax(dim=1) == y_validation).float().mean())
    with (Path(cfg.folder) / "events").open("a") as file:
        file.write(json.dumps([begin, time.time(), cfg.n_epochs, value]) + "\n")
    return value


if __name__ == "__main__":
    main()

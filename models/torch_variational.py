"""A net that brings its own training step: a variational autoencoder (Kingma and Welling, 2014)."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class TorchVariational(nn.Module):
    """Raw pixels (rows, inputs) in; `reconstruction` of them and `code` (rows, size) out."""

    def __init__(self, inputs: int, units: int, size: int, largest: float, warm_up: int):
        super().__init__()
        self.largest, self.warm_up = largest, warm_up
        self.encoder = nn.Sequential(nn.Linear(inputs, units), nn.ReLU(), nn.Linear(units, size))
        self.spread = nn.Linear(size, size)
        self.decoder = nn.Sequential(nn.Linear(size, units), nn.ReLU(), nn.Linear(units, inputs))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encoder(pixels / self.largest)
        return self.decoder(code).sigmoid() * self.largest, code

    def training_step(self, batch: tuple[Tensor]) -> dict[str, Tensor]:
        """Says the pixels again from a code that is drawn, and draws it near to nothing: the more
        so, the more steps there were."""
        (pixels,) = batch
        if self.training:
            self.steps += 1
        shares = pixels / self.largest
        code = self.encoder(shares)
        log_variance = self.spread(code)
        drawn = code + torch.randn_like(code) * (log_variance / 2).exp()
        logits = self.decoder(drawn)
        apart = functional.binary_cross_entropy_with_logits(logits, shares, reduction="none").sum(1)
        far = (code**2 + log_variance.exp() - 1 - log_variance).sum(1) / 2
        weight = (self.steps / self.warm_up).clamp(max=1.0)
        return {"loss": (apart + weight * far).mean(), "far": far.mean()}

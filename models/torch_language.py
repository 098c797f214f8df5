"""Small transformers over tokens: what comes next, what is hidden, what answers a question."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Positions(nn.Module):
    """Tokens (rows, length) in, vectors (rows, length, units) out, which know their place."""

    def __init__(self, tokens: int, length: int, units: int):
        super().__init__()
        self.token, self.place = nn.Embedding(tokens, units), nn.Embedding(length, units)

    def forward(self, text: Tensor) -> Tensor:
        places = torch.arange(text.shape[1], device=text.device)
        return self.token(text) + self.place(places)


class Attention(nn.Module):
    """Looks from each vector of `asking` at those of `asked`, if `causal` at none that is ahead."""

    def __init__(self, units: int, heads: int, causal: bool):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.query, self.key = nn.Linear(units, units), nn.Linear(units, units)
        self.value, self.joined = nn.Linear(units, units), nn.Linear(units, units)

    def forward(self, asking: Tensor, asked: Tensor) -> Tensor:
        query, key, value = (
            layer(values).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, values in (
                (self.query, asking),
                (self.key, asked),
                (self.value, asked),
            )
        )
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        return self.joined(seen.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention to itself, to `asked` if there is any, and a layer for each place."""

    def __init__(self, units: int, heads: int, causal: bool, dropout: float, asks: bool = False):
        super().__init__()
        self.itself = Attention(units, heads, causal)
        self.other = Attention(units, heads, False) if asks else None
        self.each = nn.Sequential(
            nn.Linear(units, 4 * units), nn.GELU(), nn.Linear(4 * units, units)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(units) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: Tensor, asked: Tensor | None = None) -> Tensor:
        before = self.norms[0](values)
        values = values + self.dropout(self.itself(before, before))
        if self.other is not None and asked is not None:
            values = values + self.dropout(self.other(self.norms[1](values), asked))
        return values + self.dropout(self.each(self.norms[2](values)))


class TorchLanguageModel(nn.Module):
    """Next token: `text` (rows, length) in, logits (rows, length, tokens) out."""

    def __init__(
        self, tokens: int, length: int, units: int, heads: int, layers: int, dropout: float
    ):
        super().__init__()
        self.positions = Positions(tokens, length, units)
        blocks = (Block(units, heads, True, dropout) for _ in range(layers))
        self.blocks, self.norm = nn.Sequential(*blocks), nn.LayerNorm(units)
        self.head = nn.Linear(units, tokens)
        self.head.weight = self.positions.token.weight

    def forward(self, text: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.positions(text))))


class TorchMaskedLanguageModel(nn.Module):
    """Hidden tokens: `text` (rows, length) in; `logits` (rows, length, tokens) of the text as it is
    and its own `loss` out.

    In training each token is hidden with the chance `share`, else every fourth one is.
    """

    def __init__(self, tokens: int, length: int, units: int, heads: int, layers: int, share: float):
        super().__init__()
        self.hidden, self.share = tokens, share
        self.positions = Positions(tokens + 1, length, units)
        blocks = (Block(units, heads, False, 0.0) for _ in range(layers))
        self.blocks, self.norm = nn.Sequential(*blocks), nn.LayerNorm(units)
        self.head = nn.Linear(units, tokens)

    def forward(self, text: Tensor) -> dict[str, Tensor]:
        hidden = self._hidden(text)
        guesses = self._logits(text.masked_fill(hidden, self.hidden))
        losses = functional.cross_entropy(guesses.transpose(1, 2), text, reduction="none")
        loss = (losses * hidden).sum() / hidden.sum().clamp(min=1)
        return {"logits": self._logits(text), "loss": loss}

    def _hidden(self, text: Tensor) -> Tensor:
        if self.training:
            return torch.rand(text.shape, device=text.device) < self.share
        return (torch.arange(text.shape[1], device=text.device) % 4 == 1).expand(text.shape)

    def _logits(self, text: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.positions(text))))


class TorchSequenceToSequence(nn.Module):
    """`question` (rows, asked) and `before` (rows, length), what was answered up to each place, in;
    logits (rows, length, tokens) of what comes at each place out."""

    def __init__(
        self, tokens: int, asked: int, length: int, units: int, heads: int, dropout: float
    ):
        super().__init__()
        self.questions, self.answers = (
            Positions(tokens, asked, units),
            Positions(tokens, length, units),
        )
        self.encoder = Block(units, heads, False, dropout)
        self.decoder = Block(units, heads, True, dropout, asks=True)
        self.head = nn.Linear(units, tokens)

    def forward(self, question: Tensor, before: Tensor) -> Tensor:
        memory = self.encoder(self.questions(question))
        return self.head(self.decoder(self.answers(before), memory))


class TokenCrossEntropy(nn.Module):
    """Cross-entropy at each place: logits (rows, length, tokens), target (rows, length); places
    whose target is `ignore` do not count."""

    def __init__(self, ignore: int = -100):
        super().__init__()
        self.ignore = ignore

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(logits.transpose(1, 2), target, ignore_index=self.ignore)

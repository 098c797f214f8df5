"""A text of any length, as the ids of a tokenizer, and which class it is of."""

from torch import Tensor, nn

from models.torch_tagger import SelfAttention


class TorchText(nn.Module):
    """Ids (rows, length) and their mask (rows, length) in; logits out, (rows, classes). What is
    padded changes no answer."""

    def __init__(self, ids: int, units: int, classes: int, dropout: float = 0.1):
        super().__init__()
        self.embedding = nn.Embedding(ids, units)
        self.attention = SelfAttention(units, heads=2)
        self.norm = nn.LayerNorm(units)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(units, classes))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        hidden = self.embedding(tokens)
        hidden = self.norm(hidden + self.attention(hidden, mask)) * mask.unsqueeze(-1)
        mean = hidden.sum(dim=1) / mask.sum(dim=1, keepdim=True)
        logits: Tensor = self.head(mean)
        return logits

"""The trainable network: tail, tabular encoder, fusion and classifier."""

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbc.config import ModelConfig
from mmbc.model.backbone import Backbone

PREDICTION_BATCH = 32
"""Rows that are predicted together."""


def dense(sizes: tuple[int, ...], dropout: float = 0.0) -> nn.Sequential:
    """Return linear, batch-norm, ReLU (and dropout) layers: (batch, sizes[0]) -> (batch, sizes[-1])."""
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


class CrossAttention(nn.Module):
    """Attention with several heads from the tabular token to the image tokens (Vaswani et al. 2017, eq. 1).

    The result is one vector per image: a mean over the positions of the image, with weights that depend on the clinical
    columns.
    """

    def __init__(self, n_channels: int, n_tabular: int, dim: int, heads: int) -> None:
        super().__init__()
        self.image_tokens = nn.Sequential(nn.Linear(n_channels, dim), nn.LayerNorm(dim))
        self.tabular_token = nn.Sequential(nn.Linear(n_tabular, dim), nn.LayerNorm(dim))
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, feature_map: Tensor, tabular: Tensor) -> Tensor:
        """Attend: feature_map (batch, channels, h, w), tabular (batch, n_tabular) -> (batch, dim)."""
        linear: Any = self.image_tokens[0]
        # the linear layer as a convolution of 1 x 1: where oneDNN is faster than MKL, it takes half the time
        projected = F.conv2d(feature_map, linear.weight[:, :, None, None], linear.bias)
        tokens = self.image_tokens[1](projected.flatten(2).transpose(1, 2))  # (b, dim, h, w) -> (b, h * w, dim)
        return attend(self.attention, self.tabular_token(tabular), tokens)


def attend(attention: nn.MultiheadAttention, query: Tensor, tokens: Tensor) -> Tensor:
    """Return what `attention` returns of one query: query (b, dim), tokens (b, n, dim) -> (b, dim).

    With a single query the projections of keys and values may be moved to it and to the weighted mean, so that they are
    computed once instead of for every token; the bias of the keys adds one constant to all scores and cancels.
    """
    heads, size = attention.num_heads, attention.head_dim
    to_query, to_key, to_value = attention.in_proj_weight.view(3, heads, size, -1)
    query_bias, _, value_bias = attention.in_proj_bias.view(3, heads, size)
    queries = torch.einsum("bd,hed->bhe", query, to_query) + query_bias
    scores = torch.einsum("bhe,hed->bhd", queries, to_key) @ tokens.transpose(1, 2)  # (b, heads, n)
    mean = (scores / size**0.5).softmax(dim=-1) @ tokens  # (b, heads, dim)
    values = torch.einsum("bhd,hed->bhe", mean, to_value) + value_bias
    return attention.out_proj(values.flatten(1))


class Network(nn.Module):
    """Trunk features and encoded clinical columns -> logits (batch,).

    The classifier gets, concatenated: the pooled image vector (if the image is an input), with fusion "attention" the
    attended image vector, and the encoded clinical vector (if clinical columns are an input). So the attention arm is
    the concatenation arm plus attention, and their difference is the contribution of attention.

    Args:
        model: inputs, fusion and layer sizes.
        backbone: where the tail is copied from; None without an image branch.
        n_tabular: number of encoded clinical columns.
    """

    def __init__(self, model: ModelConfig, backbone: Backbone | None, n_tabular: int) -> None:
        super().__init__()
        self.tail = backbone.tail(model.fine_tuned_blocks) if backbone is not None else None
        if self.tail is not None and model.gradient_checkpointing:
            self.tail.use_checkpointing()
        width = backbone.n_channels if backbone is not None else 0
        self.tabular = dense((n_tabular, *model.tabular_hidden)) if "tabular" in model.inputs else None
        n_encoded = model.tabular_hidden[-1] if self.tabular is not None else 0
        self.attention = None
        if model.fusion == "attention" and backbone is not None:
            self.attention = CrossAttention(width, n_encoded, model.attention_dim, model.attention_heads)
            width += model.attention_dim
        hidden = model.classifier_hidden
        self.classifier = nn.Sequential(dense((width + n_encoded, *hidden), model.dropout), nn.Linear(hidden[-1], 1))
        self.to(memory_format=torch.channels_last)

    def forward(self, features: Tensor | None, table: Tensor | None) -> Tensor:
        """Return logits (batch,).

        Args:
            features: trunk features (batch, channels, height, width), or, of a frozen backbone without attention, their
                means (batch, channels); None without an image branch.
            table: encoded clinical columns (batch, n_tabular); None without a tabular branch.
        """
        parts = []
        encoded = self.tabular(table) if self.tabular is not None else None
        if self.tail is not None:
            feature_map = self.tail(features)
            parts.append(feature_map.mean(dim=(2, 3)) if feature_map.dim() == 4 else feature_map)
            if self.attention is not None:
                parts.append(self.attention(feature_map, encoded))
        if encoded is not None:
            parts.append(encoded)
        return self.classifier(torch.cat(parts, dim=1)).squeeze(1)

    def predict(self, features: Tensor | None, table: Tensor | None) -> Tensor:
        """Return logits (n,) of at most `PREDICTION_BATCH` rows in inference mode, see `forward`.

        The batch is filled up, because torch computes batches of other sizes by other kernels: a row has the same bits
        whichever rows it is predicted with.
        """
        n = len(features if features is not None else table if table is not None else ())
        filled = [filled_up(part, PREDICTION_BATCH) if part is not None else None for part in (features, table)]
        if self.training:
            self.eval()
        with torch.no_grad():
            return self(*filled)[:n]

    def parameter_groups(self, lr: float, head_lr: float) -> list[dict[str, object]]:
        """Return the optimiser's groups: fine-tuned blocks (if any) at `lr`, newly initialised layers at `head_lr`."""
        tail = list(self.tail.parameters()) if self.tail is not None else []
        known = {id(parameter) for parameter in tail}
        new = [parameter for parameter in self.parameters() if id(parameter) not in known]
        groups: list[dict[str, object]] = [{"params": new, "lr": head_lr, "name": "head"}]
        if tail:
            groups.append({"params": tail, "lr": lr, "name": "tail"})
        return groups


def filled_up(batch: Tensor, size: int) -> Tensor:
    """Return a batch (n, ...) with copies of its last row behind it: (size, ...), images channels last."""
    rows = torch.arange(size, device=batch.device).clamp(max=len(batch) - 1)
    whole = batch if len(batch) == size else batch[rows]
    return whole.contiguous(memory_format=torch.channels_last) if whole.dim() == 4 else whole

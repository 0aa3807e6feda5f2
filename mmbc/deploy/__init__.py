"""Use of a trained model: `load(cell_folder)(image, clinical_row)` gives a calibrated probability."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmbc.deploy.predictor import Predictor, load

__all__ = ["Predictor", "load"]


def __getattr__(name: str) -> Any:
    """Load torch with the first use of a name, not with the package."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mmbc.deploy import predictor

    return getattr(predictor, name)

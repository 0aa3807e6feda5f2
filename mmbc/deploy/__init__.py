"""Use a trained model: `load(cell_folder)(image, clinical_row)` gives a calibrated probability."""

from mmbc.deploy.predictor import Predictor, load

__all__ = ["Predictor", "load"]

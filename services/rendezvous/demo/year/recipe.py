"""The reference that the year is measured with: scikit-learn's HistGradientBoosting as it comes.

Not the demo's `trees`, which are held back (shallow, slow, 100 rows to a leaf) so that they age well: frozen they keep
a mean weekly AUC of .702 and gain .02 by retraining, where the reference keeps .684 and gains .04. Both end at .725.
`early_stopping` is off: its random tenth of the rows would be days that the rest has seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from rendezvous.settings import Feature

PARAMETERS: Mapping[str, Any] = {"early_stopping": False, "random_state": 2013}


def fit(
    features: Sequence[Feature],
    frame: pd.DataFrame,
    label: NDArray[np.float64],
    parameters: Mapping[str, Any] = PARAMETERS,
) -> Pipeline:
    """Fit on a frame with one column a feature; text is encoded in front, for the export cannot do categories."""
    text = [feature.name for feature in features if feature.is_text]
    numbers = [feature.name for feature in features if not feature.is_text]
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encode = ColumnTransformer([("text", codes, text), ("numbers", "passthrough", numbers)])
    return make_pipeline(encode, HistGradientBoostingClassifier(**parameters)).fit(frame, label)

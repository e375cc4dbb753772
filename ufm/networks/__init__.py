"""Real networks: reference networks, training to the terminal phase, probes of any model (extra: ufm[networks])."""

try:
    import equinox as _equinox  # noqa: F401
except ImportError as error:
    raise ImportError("ufm.networks: needs equinox. Install it with: pip install 'ufm[networks]'") from error

from ufm.networks.data import (
    Data,
    breast_cancer,
    digits,
    flattened,
    from_arrays,
    iris,
    random_labels,
    standardised,
    wine,
)
from ufm.networks.drawn import canvas, glyphs
from ufm.networks.experiments import (
    Course,
    LastLayer,
    Progressive,
    collapse_over_epochs,
    last_layer,
    progressive_collapse,
    unconstrained,
)
from ufm.networks.files import (
    Batches,
    arrays,
    batches,
    cifar10,
    cifar100,
    from_huggingface,
    from_npz,
    from_torch,
    mnist,
    read_idx,
)
from ufm.networks.layers import batch_norm, layer_norm, no_norm
from ufm.networks.low_rank import DeepModel, deep_model, low_rank
from ufm.networks.models import Network, convolutional, hybrid, mlp, residual, transformer, with_statistics
from ufm.networks.probes import Layers, gather, measure_layers
from ufm.networks.text import docstrings
from ufm.networks.train import Recipe, Run, load, save, start, train

__all__ = [
    "Batches",
    "Course",
    "Data",
    "DeepModel",
    "LastLayer",
    "Layers",
    "Network",
    "Progressive",
    "Recipe",
    "Run",
    "arrays",
    "batch_norm",
    "batches",
    "breast_cancer",
    "canvas",
    "cifar10",
    "cifar100",
    "collapse_over_epochs",
    "convolutional",
    "deep_model",
    "digits",
    "docstrings",
    "flattened",
    "from_arrays",
    "from_huggingface",
    "from_npz",
    "from_torch",
    "gather",
    "glyphs",
    "hybrid",
    "iris",
    "last_layer",
    "layer_norm",
    "load",
    "low_rank",
    "measure_layers",
    "mlp",
    "mnist",
    "no_norm",
    "progressive_collapse",
    "random_labels",
    "read_idx",
    "residual",
    "save",
    "standardised",
    "start",
    "train",
    "transformer",
    "unconstrained",
    "wine",
    "with_statistics",
]

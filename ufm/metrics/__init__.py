"""Collapse measured: every published metric under its own name, from arrays, streams or merged processes.

    found = metrics.measure(features, labels, W, b)         # arrays [N, d], [N], [K, d], [K]
    found.values["nc1"], found.frame.rank, found.frame.spectrum

Streams: `update` or `merge` moments (first pass), `frame` them, `spread` and `merge_spreads` (second pass), then any
function below. `scatter` is one pass with a d x d factor, for `vci` and `nc1_one_pass`.
"""

from ufm.metrics.agreement import accuracy, margin_mean, margin_min, nc4, nc4_no_bias, ncc_error
from ufm.metrics.duality import (
    bias_collapse,
    nc3,
    nc3_cosine,
    nc3_gram,
    nc3_gram_raw,
    nc3_gram_sample,
    nc3_gram_Wc_sample,
    nc3_squared,
)
from ufm.metrics.frame import Frame, frame
from ufm.metrics.layers import LogLinear, effective_depth, log_linear, numerical_rank
from ufm.metrics.measure import Measurement, measure, measure_batches
from ufm.metrics.moments import Moments, merge, moments, update
from ufm.metrics.multilabel import TagAngles, tag_average_angles
from ufm.metrics.regression import nrc1, nrc2, nrc3
from ufm.metrics.scatter import Scatter, merge_scatters, nc1_one_pass, scatter, vci, vci_sample_weighted
from ufm.metrics.serial import from_bytes, to_bytes
from ufm.metrics.simplex import (
    coherence_H,
    coherence_W,
    gnc2,
    nc2_cosines_squared_H,
    nc2_equiangular_H,
    nc2_equiangular_W,
    nc2_equinorm_H,
    nc2_equinorm_W,
    nc2_gram_H,
    nc2_gram_H_raw,
    nc2_gram_H_sample,
    nc2_gram_W,
    nc2_gram_Wc,
)
from ufm.metrics.spread import Spread, merge_spreads, spread
from ufm.metrics.within import (
    cdnv,
    discrimination,
    nc1,
    nc1_class_weighted,
    nc1_sample_centred,
    nc1_sample_weighted,
    nc1_unscaled,
    separation_fuzziness,
    trace_ratio,
)

__all__ = [
    "Frame",
    "LogLinear",
    "Measurement",
    "Moments",
    "Scatter",
    "Spread",
    "TagAngles",
    "accuracy",
    "bias_collapse",
    "cdnv",
    "coherence_H",
    "coherence_W",
    "discrimination",
    "effective_depth",
    "frame",
    "from_bytes",
    "gnc2",
    "log_linear",
    "margin_mean",
    "margin_min",
    "measure",
    "measure_batches",
    "merge",
    "merge_scatters",
    "merge_spreads",
    "moments",
    "nc1",
    "nc1_class_weighted",
    "nc1_one_pass",
    "nc1_sample_centred",
    "nc1_sample_weighted",
    "nc1_unscaled",
    "nc2_cosines_squared_H",
    "nc2_equiangular_H",
    "nc2_equiangular_W",
    "nc2_equinorm_H",
    "nc2_equinorm_W",
    "nc2_gram_H",
    "nc2_gram_H_raw",
    "nc2_gram_H_sample",
    "nc2_gram_W",
    "nc2_gram_Wc",
    "nc3",
    "nc3_cosine",
    "nc3_gram",
    "nc3_gram_Wc_sample",
    "nc3_gram_raw",
    "nc3_gram_sample",
    "nc3_squared",
    "nc4",
    "nc4_no_bias",
    "ncc_error",
    "nrc1",
    "nrc2",
    "nrc3",
    "numerical_rank",
    "scatter",
    "separation_fuzziness",
    "spread",
    "tag_average_angles",
    "to_bytes",
    "trace_ratio",
    "update",
    "vci",
    "vci_sample_weighted",
]

# %% [markdown]
# # How collapsed are the features of my own network?
#
# All that is asked for are arrays: features `[N, d]`, labels `[N]`, and the classifier `W [K, d]`, `b [K]` if there
# is one. From a PyTorch model forward hooks give them, on the CPU:
#
# ```python
# kept = {}
# for name in ("layer1", "layer2", "avgpool"):
#     hook = lambda module, inputs, output, name=name: kept.setdefault(name, []).append(output.flatten(1).numpy())
#     model.get_submodule(name).register_forward_hook(hook)
# model.eval()
# labels = []
# with torch.no_grad():
#     for x, y in loader:
#         model(x)
#         labels.append(y.numpy())
# features = {name: np.concatenate(parts) for name, parts in kept.items()}
# W, b = model.fc.weight.detach().numpy(), model.fc.bias.detach().numpy()
# ```
#
# This notebook runs without PyTorch. It makes arrays of the same kind: three layers of 10 classes, each tighter
# than the one before, the last near a simplex, and the classifier along its means.

# %%
import matplotlib.pyplot as plt
import numpy as np

from theory.frames import simplex_etf
from ufm import metrics
from ufm.figures.measure import CURVES, measure_figure

plt.switch_backend(plt.get_backend())  # in Jupyter: figures that a cell returns are drawn
rng = np.random.default_rng(0)
labels = np.repeat(np.arange(10), 100)
frame = simplex_etf(10, 64)
tilted = frame + 0.01 * rng.standard_normal((10, 64))
noise = {"layer1": 0.5, "layer2": 0.15, "avgpool": 0.04}
features = {
    name: (tilted[labels] + s * rng.standard_normal((1000, 64))).astype(np.float32) for name, s in noise.items()
}
W, b = frame.astype(np.float32), np.zeros(10, np.float32)

# %% [markdown]
# Every published variant has a name of its own, for no two codes agree ([which paper uses
# which](../docs/metrics.md)). Four of one layer:

# %%
measured = {name: metrics.measure(H, labels, W, b) for name, H in features.items()}
for name, found in measured.items():
    shown = "  ".join(f"{key} {found.values[key]:.4f}" for key in ("nc1", "nc2_gram_H", "nc3", "nc4"))
    print(f"{name:9}{shown}  rank {found.frame.rank}")

# %% [markdown]
# The same from a file, for any language: `ufm measure features.npz`. Layers, spectrum and cosines in one picture:

# %%
curves = {name: np.array([found.values[name] for found in measured.values()]) for name, *_ in CURVES}
measure_figure(list(measured), curves, measured["avgpool"], W)

# %% [markdown]
# Features that do not fit into memory come in batches; what is needed can be gone through twice. NC1 is
# $\operatorname{tr}(\Sigma_W \Sigma_B^+)/K$: written out in NumPy for the last layer it is the same number.

# %%
batches = [(features["avgpool"][i::4], labels[i::4]) for i in range(4)]
streamed = metrics.measure_batches(batches, W, b)
H = features["avgpool"].astype(np.float64)
means = np.stack([H[labels == k].mean(axis=0) for k in range(10)])
within = (H - means[labels]).T @ (H - means[labels]) / 1000
centred = means - means.mean(axis=0)
by_hand = np.trace(within @ np.linalg.pinv(centred.T @ centred / 10, rcond=1e-10)) / 10
print(f"NC1 by hand {by_hand:.12f}, measured {measured['avgpool'].values['nc1']:.12f}")

# %%
assert abs(by_hand / measured["avgpool"].values["nc1"] - 1) < 1e-6
assert abs(streamed.values["nc1"] / measured["avgpool"].values["nc1"] - 1) < 1e-6
assert curves["nc1"][0] > curves["nc1"][1] > curves["nc1"][2]
assert measured["avgpool"].values["nc4"] == 0
assert measured["avgpool"].frame.rank == 9

# %% [markdown]
# # Does a trained network collapse to the optimum of the model?
#
# In a network the features are not free: a body of layers makes them. If its last layer is a batch norm with scale
# $s$ and shift $t$, then $\|H\|_F^2 / N \le \|s\|^2 + \|t\|^2$, and weight decay $\lambda$ on *all* parameters
# costs at least what $\lambda_H = \lambda / N$ costs on the features. So without any fitted number
#
# $$\text{objective of the network} \;\ge\; f(W, H, b) \;\ge\; f^\ast
#   \qquad (\lambda_W = \lambda_b = \lambda,\ \lambda_H = \lambda / N),$$
#
# and $f^\ast$ is certified. How close does training come? Wines of three growers, told apart by 13 chemical
# measurements; two ReLU layers and a linear one, SGD with momentum.

# %%
import matplotlib.pyplot as plt
import numpy as np

from ufm import networks
from ufm.figures.networks import epochs_figure, last_layer_figure

plt.switch_backend(plt.get_backend())  # in Jupyter: figures that a cell returns are drawn
data = networks.wine()
recipe = networks.Recipe(epochs=1500)  # cross-entropy, decay 5e-3, rate 0.05 falling to 0 by a cosine
network = networks.hybrid(data.shape, data.K, depth=2, linear=1, width=64)
course = networks.collapse_over_epochs(network, data, recipe)
print(f"{len(data.y)} samples, loss {course.loss[-1]:.4f}, test accuracy {course.test[-1].accuracy:.3f}")

# %% [markdown]
# NC1 to NC4 over the epochs, solid on the training set and dashed on the test set:

# %%
epochs_figure([course])

# %% [markdown]
# The last layer beside the model. The minimum of the model is a simplex ([T7](../docs/theorems/balanced.md#t7)); no
# parameter of it knows the network.

# %%
found = networks.last_layer(course.run.network, data, recipe)
excess = found.head_objective / found.certificate.lower_bound - 1
print(f"network {found.head_objective:.5f} >= model at its features {found.value:.5f}")
print(f"      >= f* = {found.certificate.lower_bound:.5f}: {100 * excess:.1f} % above the optimum")
print(f"NC1 {found.collapse.nc1:.4f}, NC2 {found.collapse.nc2_gram_W:.3f}")

# %%
last_layer_figure(found, data.name)

# %% [markdown]
# On the training set NC1 falls and the angles approach the simplex; on the test set NC1 stops far above. That is
# typical: neural collapse is a statement about training.

# %%
first, last = course.train[0], course.train[-1]
assert found.head_objective >= found.value - 1e-9 >= found.certificate.lower_bound - 2e-9
assert found.certificate.gap < 1e-12
assert 0 <= excess < 0.05
assert last.nc1 < 1e-2
assert last.nc2_gram_W < 0.05 < first.nc2_gram_W
assert last.nc1 < course.test[-1].nc1
assert np.isfinite(course.loss).all()

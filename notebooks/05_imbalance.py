# %% [markdown]
# # What does imbalance do?
#
# Three classes have $n_A = 20$ samples, three have $n_B = 2$. Cross-entropy, $\lambda_W = \lambda_H = \nu$, no
# bias. Each group keeps a simplex of its own, with one direction between the groups
# ([3.4](../docs/theorems/imbalance.md#34)). How wide the small classes' simplex is depends on the decay, and at
#
# $$\nu = \frac{\sqrt{n_B}}{N}$$
#
# it closes: the small classes share one classifier and one feature, which is *minority collapse*
# ([3.4-collapse](../docs/theorems/imbalance.md#34-collapse)).

# %%
import matplotlib.pyplot as plt
import numpy as np

import ufm
from theory import imbalance, seli
from ufm.figures.grams import cosines, draw_matrix

sizes = {"K": 6, "n": (20, 20, 20, 2, 2, 2), "d": 6}
threshold = np.sqrt(2) / 66
nu = np.append(np.geomspace(1e-6, 3e-2, 40), threshold * np.linspace(0.4, 1.02, 33))
nu.sort()
solutions = [ufm.solve(ufm.Problem(**sizes, lam_W=x, lam_H=x)) for x in nu]
worst = max(s.value - s.lower_bound for s in solutions)
print(f"{len(solutions)} minima, none further than {worst:.0e} from the global one")

# %%
small = np.array([cosines(s.params.W @ s.params.W.T)[3, 4] for s in solutions])
stated = [imbalance.global_minimum(**sizes, lam_W=x, lam_H=x).quantities["gram_W"] for x in nu]
predicted = np.array([cosines(gram)[3, 4] for gram in stated])
limit = cosines(seli.global_minimum(**sizes).quantities["gram_W"])

figure, axes = plt.subplots(figsize=(5.2, 3.2), layout="constrained")
axes.semilogx(nu, predicted, color="0.7", linewidth=5, label="theory 3.4")
axes.semilogx(nu, small, label="solved")
axes.axvline(threshold, color="0.5", linewidth=0.8, label=r"$\sqrt{n_B}/N$")
axes.axhline(limit[3, 4], color="0.5", linewidth=0.8, linestyle="--", label=r"max-margin limit $\nu \to 0$")
axes.set(xlabel=r"decay $\nu$", ylabel="cosine of two small classes' classifiers")
axes.legend()
plt.show()

# %% [markdown]
# The dashed line is the max-margin geometry of [3.1](../docs/theorems/max_margin.md#31) (SELI). It is the limit
# $\nu \to 0$, but the distance falls like $1/\log(1/\nu)$ only ([3.3](../docs/theorems/imbalance.md#33)): at a
# decay of $10^{-6}$ the cosine is still 0.009 away. The whole matrices of cosines between the rows of $W$:

# %%
figure, panels = plt.subplots(2, 2, figsize=(7.6, 6.4), layout="constrained")
for axes, decay in zip(panels.flat, (3e-2, 1e-3, 1e-6), strict=False):
    W = solutions[int(np.argmin(np.abs(np.log(nu / decay))))].params.W
    draw_matrix(axes, cosines(W @ W.T), rf"$\nu \approx$ {decay:g}")
image = draw_matrix(panels[1, 1], limit, "max-margin limit")
figure.colorbar(image, ax=panels, label="cosine", shrink=0.8)
plt.show()

# %%
assert worst < 1e-12
assert np.max(np.abs(small - predicted)) < 1e-6
assert np.all((small > 1 - 1e-9) == (nu >= threshold))
assert 0.005 < abs(small[0] - limit[3, 4]) < 0.01

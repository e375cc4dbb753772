# %% [markdown]
# # What breaks the simplex?
#
# The rows of $W$ are a *simplex ETF* if all cosines between them are $-1/(K-1)$. For the squared loss this depends
# on the bias ([T8](../docs/theorems/balanced.md#t8)): with $\kappa = K \sqrt{n \lambda_W \lambda_H} < 1$ the logits
# at the minimum are
#
# $$W M = z_c \bigl(I - \tfrac1K J\bigr) + z_m \tfrac1K J, \qquad z_c = 1 - \kappa, \qquad
#   z_m = \Bigl(1 - \kappa\,\frac{1 + \lambda_b}{\lambda_b}\Bigr)_+ ,$$
#
# a simplex while $z_m = 0$. So the decay of the *bias* breaks it, from $\lambda_b = \kappa / (1 - \kappa)$ on
# ([T8-threshold](../docs/theorems/balanced.md#t8-threshold)). Cross-entropy has no such threshold
# ([T7](../docs/theorems/balanced.md#t7)).

# %%
import matplotlib.pyplot as plt
import numpy as np

import ufm
from theory import mse
from ufm.figures.grams import cosines

sizes = {"K": 4, "n": 3, "d": 5}
lam = 0.03
kappa = mse.kappa(K=4, n=3, lam_W=lam, lam_H=lam)
threshold = mse.mean_threshold(K=4, n=3, lam_W=lam, lam_H=lam)
print(f"kappa = {kappa:.4f}: a simplex up to lam_b = {threshold:.4f}")

# %% [markdown]
# Each loss compiles once; after that a minimum takes half a millisecond, its proof included.

# %%
lam_b = np.geomspace(1e-2, 1e2, 60)
problem = {"lam_W": lam, "lam_H": lam} | sizes
squares = [ufm.solve(ufm.Problem(**problem, lam_b=x, loss=ufm.MSE())) for x in lam_b]
entropies = [ufm.solve(ufm.Problem(**problem, lam_b=x)) for x in lam_b]
cosine = {"squared loss": [cosines(s.params.W @ s.params.W.T)[0, 1] for s in squares]}
cosine["cross-entropy"] = [cosines(s.params.W @ s.params.W.T)[0, 1] for s in entropies]
worst = max(s.value - s.lower_bound for s in (*squares, *entropies))
print(f"{len(squares) + len(entropies)} minima, none further than {worst:.0e} from the global one")

# %%
stated = [mse.global_minimum(**sizes, lam_W=lam, lam_H=lam, lam_b=x).quantities["gram_W"] for x in lam_b]
predicted = np.array([cosines(gram)[0, 1] for gram in stated])

figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
axes.semilogx(lam_b, predicted, color="0.7", linewidth=5, label="squared loss, theory")
axes.semilogx(lam_b, cosine["squared loss"], label="squared loss")
axes.semilogx(lam_b, cosine["cross-entropy"], "--", label="cross-entropy")
axes.axvline(threshold, color="0.5", linewidth=0.8, label=r"$\lambda_b = \kappa/(1-\kappa)$")
axes.set(xlabel=r"decay of the bias $\lambda_b$", ylabel="cosine of two rows of $W$")
axes.legend()
plt.show()

# %% [markdown]
# As $\lambda_b \to \infty$, which is the same as no bias at all, the rows become orthogonal: a curve that starts at
# $-1/3$ and ends at $0$.

# %%
simplex = lam_b < threshold
assert worst < 1e-12
assert np.max(np.abs(predicted - cosine["squared loss"])) < 1e-8
assert np.allclose(predicted[simplex], -1 / 3)
assert np.all(predicted[~simplex] > -1 / 3)
assert np.allclose(cosine["cross-entropy"], -1 / 3)

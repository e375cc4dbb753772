# %% [markdown]
# # Where does a network learn nothing?
#
# If the decays are strong enough $W = H = 0$ is the global minimum. For cross-entropy and equal classes the border
# is explicit ([T7](../docs/theorems/balanced.md#t7)):
#
# $$\kappa = K \sqrt{n\, \lambda_W \lambda_H} = 1 ,$$
#
# and zero is a strict saddle on one side and the minimum on the other
# ([T18-threshold](../docs/theorems/balanced.md#t18-threshold)). A sweep that does not know it should find it.

# %%
import matplotlib.pyplot as plt
import numpy as np

import ufm
from theory import cross_entropy
from ufm.figures.phases.diagram import draw_line, draw_map, ends

lam = np.logspace(-3, 0, 19)
problem = ufm.Problem(K=4, n=3, d=5, lam_W=1.0, lam_H=1.0, lam_b=1e-2)
grid = ufm.grid(problem, lam_W=lam, lam_H=lam)
results = ufm.sweep(grid)
print(results)

# %% [markdown]
# Each row is a problem solved, certified and measured. With `store="runs.sqlite"` it would be kept, and a second
# run would read it. Columns are NumPy arrays:

# %%
print(f"largest gap {results['gap'].max():.0e}; verdicts:", sorted(set(results["verdict"].tolist())))
logit = results.on_grid("largest_logit")
zero = logit < 1e-8

# %%
figure, axes = plt.subplots(figsize=(4.8, 3.8), layout="constrained")
shown = np.where(zero, np.nan, logit)
mesh = draw_map(axes, lam, lam, shown.T, plt.Normalize(0, np.nanmax(shown)))
span = np.array(ends(lam))
draw_line(axes, span, 1 / (4**2 * 3) / span, r"$\kappa = 1$")
axes.text(0.95, 0.95, "$W = H = 0$", transform=axes.transAxes, ha="right", va="top")
axes.set(xlabel=r"$\lambda_W$", ylabel=r"$\lambda_H$", aspect="equal")
axes.legend(loc="lower left", frameon=True)
figure.colorbar(mesh, label=r"largest entry of $|W H|$")
plt.show()

# %%
kappa = np.array([[cross_entropy.kappa(K=4, n=3, lam_W=x, lam_H=y) for y in lam] for x in lam])
assert results["gap"].max() < 1e-12
assert np.all(zero == (kappa >= cross_entropy.collapse_threshold()))
assert 0 < zero.sum() < zero.size

# %% [markdown]
# # What if there are more classes than dimensions?
#
# A simplex of $K$ vectors needs $d \ge K - 1$. With fewer dimensions put features and classifiers on unit spheres,
# with logits $\tau W H$. As $\tau \to \infty$ the classifiers become a *softmax code*: they maximise
#
# $$\rho = \min_k \operatorname{dist}\bigl(w_k,\ \operatorname{conv}\{w_j\}_{j \ne k}\bigr),$$
#
# the margin of the worst class ([2.1](../docs/theorems/codes.md#21)). For $d + 2 \le K \le 2 d$ its largest value
# is 1 ([2.2](../docs/theorems/codes.md#22)), here six classes in three dimensions.

# %%
import operator

import matplotlib.pyplot as plt
import numpy as np

import ufm
from theory import code_values, softmax_codes

growing = np.array([0.5, 1, 2, 4, 8, 16])
solutions = [ufm.solve(ufm.Problem(6, 1, 3, model=ufm.normalized(tau)), key=0, gtol=1e-15) for tau in growing]
codes = [solution.params.W for solution in solutions]
rho = [softmax_codes.one_vs_rest_distance(W).rho.min() for W in codes]
print("status:", sorted({solution.status.name for solution in solutions}))

# %% [markdown]
# Nothing proves a minimum global for $d < K - 1$. What can be said is where twenty starts end, at $\tau = 8$:

# %%
problem = ufm.Problem(6, 1, 3, model=ufm.normalized(8.0))
starts = [ufm.solve(problem, key=key, gtol=1e-15) for key in range(20)]
best = min(starts, key=operator.attrgetter("value"))
print(f"best found: f = {best.value:.15f}; all 20 end within {max(s.value for s in starts) - best.value:.0e}")

# %%
W = codes[-1]
figure = plt.figure(figsize=(8.5, 3.4), layout="constrained")
space = figure.add_subplot(1, 2, 1, projection="3d")
for i in range(6):
    space.plot(*np.stack([0 * W[i], W[i]]).T, color="C0")
    for j in range(i):
        if W[i] @ W[j] > -0.5:
            space.plot(*W[[i, j]].T, color="0.7", linewidth=0.8)
space.scatter(*W.T, color="C3")
space.set(title="six classifiers, $\\tau = 16$", box_aspect=(1, 1, 1), xticks=[], yticks=[], zticks=[])
axes = figure.add_subplot(1, 2, 2)
stated = np.array([code_values.cross_polytope_value(d=3, tau=tau) for tau in growing])
axes.semilogx(growing, -np.log(stated) / growing, color="0.7", linewidth=5, label="cross-polytope (2.5)")
axes.semilogx(growing, [-np.log(s.value) / tau for s, tau in zip(solutions, growing, strict=True)], "o", label="found")
axes.axhline(1, color="0.5", linewidth=0.8, linestyle="--", label=r"limit $\rho^\ast = 1$")
axes.set(xlabel=r"$\tau$", ylabel=r"$-\log(f)\,/\,\tau$")
axes.legend()
plt.show()

# %% [markdown]
# The cross-polytope, at every temperature; its value is $f = \log(1 + (2d-2)\,e^{-\tau} + e^{-2\tau})$
# ([2.5](../docs/theorems/codes.md#25)), and $-\log(f)/\tau$ approaches $\rho^\ast$ like $\log(2d-2)/\tau$
# ([2.1-finite](../docs/theorems/codes.md#21-finite)). That no code is better at finite $\tau$ is measured, not
# proved.

# %%
values = np.array([solution.value for solution in solutions])
assert np.allclose(rho, softmax_codes.optimum(K=6, d=3), rtol=0, atol=1e-6)
assert np.allclose(values, stated, rtol=1e-9, atol=0)
assert np.allclose([s.value for s in starts], stated[4], rtol=1e-9, atol=0)

# %% [markdown]
# # Is this a global minimum?
#
# $f$ is not convex, and a small gradient proves nothing: at $W = H = 0$ it is zero too. What decides is a lower
# bound on $f^\ast$. With $\nu = \sqrt{\lambda_W \lambda_H}$ the decays are at least $\nu \|WH\|_*$
# ([T2](../docs/theorems/balanced.md#t2)), so a *convex* problem in the logits lies below $f$, and each point of its
# dual is a bound ([T15](../docs/theorems/balanced.md#t15)):
#
# $$f^\ast \;\ge\; D(\Gamma) = -g^\ast(\Gamma) - \frac{\|\Gamma \mathbf 1\|^2}{2 \lambda_b}
#   \qquad \text{for every } \Gamma \text{ with } \|\Gamma\|_2 \le \nu .$$

# %%
import matplotlib.pyplot as plt
import numpy as np

import ufm

problem = ufm.Problem(K=4, n=3, d=5, lam_W=5e-3, lam_H=5e-3, lam_b=1e-2)
solution = ufm.solve(problem, reduce=False)  # from a random start, all features free
far = ufm.random_start(problem, key=1)
zero = ufm.Params(0 * far.W, 0 * far.H, 0 * far.b)

# %% [markdown]
# Three points: where the solver ended, zero, and a random one.

# %%
found = {name: ufm.certify(problem, p) for name, p in (("solution", solution.params), ("zero", zero), ("random", far))}
for name, c in found.items():
    print(f"{name:9}{c.verdict.name:15}  |grad| {c.grad_norm:.0e}  gap {c.gap:.0e}", end="  ")
    print(f"least eigenvalue {c.smallest_eigenvalue:+.4f}")

# %% [markdown]
# At zero the gradient vanishes, but the smallest Hessian eigenvalue is the one of
# [T18](../docs/theorems/balanced.md#t18), $\nu - 1/(K\sqrt n)$: a strict saddle.
#
# The gap needs no critical point. Here it is on the way from the random point to the solution: never below
# $f - f^\ast$, and so close to it that the two curves lie on each other. Both fall with the *square* of the
# distance ([T15-order](../docs/theorems/balanced.md#t15-order)).

# %%
distances = np.geomspace(1, 1e-6, 13)
on_the_way = [ufm.Params(*(x + s * (y - x) for x, y in zip(solution.params, far, strict=True))) for s in distances]
certified = [ufm.certify(problem, point) for point in on_the_way]
gap = np.array([c.gap for c in certified])
above = np.array([c.value for c in certified]) - solution.value

figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
axes.loglog(distances, gap, "o-", label="gap (proved)")
axes.loglog(distances, np.maximum(above, 1e-17), "x--", label=r"$f - f^\ast$")
axes.set(xlabel="share of the way from the solution", ylabel="distance in value")
axes.legend()
plt.show()

# %%
assert found["solution"].verdict is ufm.Verdict.GLOBAL_MINIMUM
assert found["zero"].verdict is ufm.Verdict.STRICT_SADDLE
assert abs(found["zero"].smallest_eigenvalue - (5e-3 - 1 / (4 * np.sqrt(3)))) < 1e-12
assert np.all(gap >= above - 1e-15)

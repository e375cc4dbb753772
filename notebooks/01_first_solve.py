# %% [markdown]
# # What does neural collapse look like?
#
# A network's last layer is $z = W h + b$. In an *unconstrained feature model* the features $h_i$ are free
# variables:
#
# $$f(W, H, b) = \frac1N \sum_{i=1}^N \ell(W h_i + b,\, y_i) + \frac{\lambda_W}2 \|W\|^2
#   + \frac{\lambda_H}2 \|H\|^2 + \frac{\lambda_b}2 \|b\|^2 .$$
#
# Here $\ell$ is cross-entropy, with $K = 4$ classes of $n = 3$ samples and features in $d = 5$ dimensions.

# %%
import matplotlib.pyplot as plt

import ufm
from theory import cross_entropy
from ufm.figures.solve import solve_figure

plt.switch_backend(plt.get_backend())  # in Jupyter: figures that a cell returns are drawn
sizes = {"K": 4, "n": 3, "d": 5}
decays = {"lam_W": 5e-3, "lam_H": 5e-3, "lam_b": 1e-2}
problem = ufm.Problem(**sizes, **decays, loss=ufm.CrossEntropy())
solution = ufm.solve(problem, key=0, record=range(100))
print(f"{solution.status.name} after {solution.steps} steps")
print(f"f = {solution.value:.12f}, |grad f| = {solution.grad_norm:.0e}")

# %% [markdown]
# The solver does not know what to expect. `certify` looks at the point that it found: is the gradient zero, are all
# Hessian eigenvalues $\ge 0$, and how far below can $f$ go at all? The last is answered by a lower bound from
# convex duality, valid for *every* point.

# %%
certificate = ufm.certify(problem, solution.params)
print(certificate.verdict.name, f"with f - f* <= {certificate.gap:.0e}")
print(f"zero modes {certificate.nullity}, dimension of the symmetry orbit {certificate.symmetry}")

# %% [markdown]
# Claim [T7](../docs/theorems/balanced.md#t7) says what a global minimum has to be: the features of a class coincide
# (NC1), class means and rows of $W$ form one simplex,
#
# $$W M = a\,\bigl(I - \tfrac1K J\bigr), \qquad a = \log\frac pq, \qquad q = \sqrt{n \lambda_W \lambda_H},
#   \quad p = 1 - (K-1)\,q .$$

# %%
prediction = cross_entropy.global_minimum(**sizes, **decays)
comparison = ufm.compare(problem, solution.params, prediction, certificate=certificate)
print(comparison)

# %% [markdown]
# The descent, the collapse, and the geometry: four class means as a tetrahedron, the rows of $W$ along them.

# %%
solve_figure(problem, solution, certificate, prediction)

# %%
assert certificate.verdict is ufm.Verdict.GLOBAL_MINIMUM
assert max(row.difference for row in comparison.rows) < 1e-9

# %% [markdown]
# # Where can an optimiser get stuck?
#
# With $d \ge K - 1$ dimensions cross-entropy with decay has no spurious minimum: every critical point that is not
# the global minimum is a strict saddle ([T4](../docs/theorems/landscape.md#t4)). One dimension less is enough for
# the statement to stop ([T6](../docs/theorems/landscape.md#t6)). Here $K = 5$ classes of one sample,
# $\lambda_W = \lambda_H = 0.05$, $\lambda_b = 0.1$, and $d = 2$.
#
# `atlas` searches for critical points of *any* kind, by minimising $\|\nabla f\|^2$, and sorts what it finds into
# orbits of the symmetries.

# %%
import matplotlib.pyplot as plt

import ufm
from ufm.figures.landscape import atlas_figure
from ufm.landscape import plane

plt.switch_backend(plt.get_backend())  # in Jupyter: figures that a cell returns are drawn
problem = ufm.Problem(K=5, n=1, d=2, lam_W=0.05, lam_H=0.05, lam_b=0.1)
atlas = ufm.atlas(problem, searches=60, key=0)
print(atlas)

# %%
atlas_figure(atlas)

# %% [markdown]
# Two orbits have index 0 and only the zero modes of their symmetry: strict minima, and the upper one is no global
# minimum. What do they look like? The lower one is a pentagon; in the upper one a class has given up its place in
# the plane and lives by its bias.

# %%
pentagon, dropped = atlas.points[0], atlas.points[1]
figure, panels = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
for axes, point, name in zip(panels, (pentagon, dropped), ("pentagon", "spurious"), strict=False):
    W = point.params.W
    axes.plot(*W.T, "o")
    axes.quiver(0 * W[:, 0], 0 * W[:, 0], *W.T, angles="xy", scale_units="xy", scale=1, width=0.008)
    axes.set(title=f"{name}: f = {point.certificate.value:.4f}", aspect="equal", xlim=(-2, 2), ylim=(-2, 2))
zero = ufm.Params(*(0 * x for x in pentagon.params))
t, f = plane(problem, zero, pentagon.params, dropped.params, reach=1.3, points=61)
shade = panels[2].contourf(t, t, f.T, levels=30)
for place, mark in (((0, 0), "x"), ((1, 0), "*"), ((0, 1), "o")):
    panels[2].plot(*place, mark, color="white")
panels[2].set(
    title="f on the plane of both and 0", aspect="equal", xlabel="to the pentagon (*)", ylabel="to the spurious one (o)"
)
figure.colorbar(shade, ax=panels[2], shrink=0.8)
plt.show()

# %% [markdown]
# A lower bound from duality does not help here: $d$ cuts the rank, and the bound stays below. So the pentagon is
# "best found", not proved. With dimensions enough the trap is gone: of the problem of the first notebook, $K = 4$
# and $d = 5$, every start ends at one value, and it is proved.

# %%
wide = ufm.Problem(K=4, n=3, d=5, lam_W=5e-3, lam_H=5e-3, lam_b=1e-2)
ends = [ufm.solve(wide, key=key, reduce=False).value for key in range(10)]
proved = ufm.solve(wide).lower_bound
print(f"10 starts end between {min(ends):.14f} and {max(ends):.14f}; lower bound {proved:.14f}")

# %%
assert [p.certificate.verdict for p in atlas.spurious] == [ufm.Verdict.LOCAL_MINIMUM]
assert abs(pentagon.certificate.value - 0.938473085202) < 1e-11
assert abs(dropped.certificate.value - 0.969106050566) < 1e-11
assert pentagon.certificate.gap > 1e-3
assert max(ends) - proved < 1e-12

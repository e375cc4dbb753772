# %% [markdown]
# # What changes with depth?
#
# Put $M$ matrices between features and logits, $Z = W_M \cdots W_1 H$, each with decay $\lambda$, squared loss, no
# bias. The $q = M + 1$ factors together cost $\tfrac q2 \lambda \sum_j \sigma_j(Z)^{2/q}$: for $M = 1$ a norm, for
# $M \ge 2$ a function that is infinitely steep at zero. The minimum is still explicit
# ([L3](../docs/theorems/deep.md#l3)): each singular value of the labels, here $\sqrt n$, is shrunk by a scalar
# problem of its own.

# %%
import matplotlib.pyplot as plt
import numpy as np

import ufm
from theory import deep_linear

sizes = {"K": 3, "n": 4, "d": 4}
model = ufm.DeepLinear(widths=(4,))
threshold = deep_linear.collapse_thresholds(K=3, n=4, M=2)[0] ** (1 / 3)
spinodal = deep_linear.spinodal_thresholds(K=3, n=4, M=2)[0] ** (1 / 3)
decays = threshold * np.linspace(0.4, 1.24, 23)
problems = [ufm.Problem(**sizes, lam_W=x, lam_H=x, loss=ufm.MSE(), model=model) for x in decays]

# %% [markdown]
# $M = 2$: from a large start to the minimum at the weakest decay, which is then followed as the decay grows. The
# certificate says at which of them the minimum is global: for deep linear layers and squares the bound always
# closes.

# %%
far = ufm.random_start(problems[0], key=0, scale=2.0)
ends = [ufm.solve(problems[0], start=far)]
for problem in problems[1:]:
    ends.append(ufm.solve(problem, start=ends[-1].params))
certificates = [ufm.certify(problem, end.params) for problem, end in zip(problems, ends, strict=True)]
Z = [end.params.W[1] @ end.params.W[0] @ end.params.H for end in ends]
kept = np.array([np.linalg.norm(z, 2) for z in Z]) / 2.0
proved = np.array([c.verdict is ufm.Verdict.GLOBAL_MINIMUM for c in certificates])
print(sorted({c.verdict.name for c in certificates}))

# %%
fine = np.linspace(decays[0], decays[-1], 401)
states = [deep_linear.global_minimum(**sizes, lam_W=x, lam_H=x, widths=(4,)).quantities["sigma_Z"][0] for x in fine]
one = [deep_linear.global_minimum(**sizes, lam_W=x, lam_H=x).quantities["sigma_Z"][0] for x in fine]
figure, axes = plt.subplots(figsize=(5.4, 3.3), layout="constrained")
axes.plot(fine, np.array(states) / 2, color="0.6", label="global minimum, $M = 2$ (L3)")
axes.plot(fine, np.array(one) / 2, color="0.6", linestyle="--", label="global minimum, $M = 1$")
axes.plot(decays[proved], kept[proved], "o", label="found, proved global")
axes.plot(decays[~proved], kept[~proved], "o", markerfacecolor="none", label="found, a local minimum")
axes.axvline(threshold, color="0.5", linewidth=0.8)
axes.set(xlabel=r"decay $\lambda$ of every factor", ylabel=r"largest singular value of $Z$ / $\sqrt{n}$")
axes.legend(loc="lower left")
plt.show()

# %% [markdown]
# Collapse to zero is a *jump* ([L2](../docs/theorems/deep.md#l2)): at the threshold zero and logits $(M-1)/M = 1/2$
# have one value. Beyond it the old minimum stays a minimum for a while (hollow), and zero is one at *every* decay
# ([F2](../docs/theorems/deep.md#f2)): the Hessian there holds the decays alone, and what starts near zero ends
# there.

# %%
weak = problems[0]
zero = ufm.Params(tuple(0 * w for w in far.W), 0 * far.H, None)
at_zero = ufm.certify(weak, zero)
trapped = ufm.solve(weak, start=ufm.random_start(weak, key=0, scale=0.02))
print(at_zero.verdict.name, f"least eigenvalue {at_zero.smallest_eigenvalue:.6f}, lambda = {decays[0]:.6f}")
print(trapped.message)

# %%
stated = [deep_linear.global_minimum(**sizes, lam_W=x, lam_H=x, widths=(4,)).quantities["value"] for x in decays]
values = np.array([end.value for end in ends])
assert np.all(values >= np.array(stated) - 1e-14)
assert np.allclose(values[proved], np.array(stated)[proved], rtol=0, atol=1e-12)
assert proved[decays < 0.999 * threshold].all()
assert kept[decays < threshold].min() > 0.5
assert not proved[(decays > 1.001 * threshold) & (decays < 0.99 * spinodal)].any()
assert at_zero.verdict is ufm.Verdict.LOCAL_MINIMUM
assert abs(at_zero.smallest_eigenvalue - decays[0]) < 1e-12
assert abs(trapped.value - 0.5) < 1e-10

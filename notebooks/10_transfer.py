# %% [markdown]
# # From which layer should features be taken?
#
# A network that has collapsed on its own task may have thrown away what another task needs. Train one on the digits
# 0 to 4, take the features of every layer, and fit a linear probe for the digits 5 to 9 with ten labels each. Two
# numbers of each layer might tell how well the probe will do: NC1 $= \operatorname{tr}(\Sigma_W \Sigma_B^+)/K$ on
# the task that was learned, and NC1 on the new one.

# %%
import matplotlib.pyplot as plt
import numpy as np

from ufm import networks, transfer

digits = networks.digits()
source = transfer.of_classes(digits, range(5), "digits 0-4")
task = transfer.of_classes(digits, range(5, 10), "digits 5-9")
recipe = networks.Recipe(epochs=60)
network = networks.mlp(source.shape, source.K, depth=5, width=48)
run = networks.train(networks.start(network, recipe, source), recipe, source)
print(f"loss on the digits 0 to 4: {run.loss:.4f}")

# %% [markdown]
# Every layer, beside two controls: the pixels themselves, and the same network before training.

# %%
profile = transfer.layer_profile(run.network, task, source, n=10, draws=3)
for i, name in enumerate(profile.names):
    shown = f"{name:9} NC1 learned {profile.source_nc1[i]:.4f}, new task {profile.downstream_nc1[i]:.3f}"
    print(f"{shown}; probe {profile.probe[i]:.3f}, untrained {profile.random_probe[i]:.3f}")
print(f"pixels: NC1 {profile.raw_nc1:.3f}, probe {profile.raw_probe:.3f}")
print(f"correlation of log NC1 with accuracy: new task {profile.r_downstream:.2f}, learned {profile.r_source:+.2f}")

# %%
layers = np.arange(1, len(profile.names) + 1)
figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
left.semilogy(layers, profile.source_nc1, "o-", label="learned: digits 0-4")
left.semilogy(layers, profile.downstream_nc1, "s-", label="new: digits 5-9")
left.set(xlabel="layer", ylabel="NC1", xticks=layers)
left.legend()
right.errorbar(layers, profile.probe, profile.probe_sd, fmt="s-", color="C1", label="trained on 0-4")
right.plot(layers, profile.random_probe, "x--", color="0.5", label="untrained")
right.axhline(profile.raw_probe, color="0.5", linestyle=":", label="pixels")
right.set(xlabel="layer", ylabel="accuracy of the probe on 5-9", xticks=layers)
right.legend()
plt.show()

# %% [markdown]
# The deeper the layer, the more collapsed on what was learned, the less on what is new, and the worse the probe.
# What goes along with transfer is NC1 on the *new* task. Training helps every layer, and yet the pixels are better
# than any: on images of 8 x 8 there is little to transfer, and only the control shows it.
#
# From ten labels a class NC1 itself is noisy. `rank_models` then ranks by CDNV, and says why:

# %%
drawn = transfer.few(task, 10)
taps = networks.with_statistics(run.network, source.x).taps(drawn.x)
ranking = transfer.rank_models(taps, drawn.y, bootstrap=50)
print(ranking)

# %%
assert profile.source_nc1[-1] < 0.5 * profile.source_nc1[0]
assert profile.downstream_nc1[-1] > profile.downstream_nc1[0]
assert profile.probe[-1] < profile.probe[0] < profile.raw_probe
assert profile.r_downstream < -0.8
assert profile.r_source > 0.5
assert ranking.names[0] in profile.names[:2]

"""Real networks: reference networks, training to the terminal phase, probes of any model (extra: ufm[networks])."""

try:
    import equinox as _equinox
except ImportError as error:
    raise ImportError("ufm.networks: needs equinox. Install it with: pip install 'ufm[networks]'") from error

"""Self-contained HTML: the page of `ufm verify --report` and that of `ufm view`; no network, no other file."""

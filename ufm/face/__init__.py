"""What a person sees: the report of a solve, as text and as JSON. Called by the command line only."""

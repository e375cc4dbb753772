"""What a point is: first order, second order, and how far from the global minimum at most."""

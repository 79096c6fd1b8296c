"""Names for guest addresses, and what samples of a running guest tell: which functions take the time, and where it goes beside them."""

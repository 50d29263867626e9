"""One router for each thing that the shop has."""

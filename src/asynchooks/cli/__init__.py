"""The command `asynchooks`: `main` reads the command line, one module for each command runs it."""

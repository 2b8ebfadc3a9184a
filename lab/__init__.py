"""Real machines on one computer: to try kubefab on, and to test it against."""

"""What is long and rarely changed, proven on the lab's machines: `make proof`."""

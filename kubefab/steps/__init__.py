"""The states, a subject a module: each offers `steps(cluster, host)`, the list that brings a host there."""

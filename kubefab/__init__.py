"""A Kubernetes cluster on your own machines with kubeadm: a runbook that looks before it acts."""

__version__ = "0.1.0"

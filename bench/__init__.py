"""kubefab beside its peers: the same cluster by hand over ssh, and by Ansible, on the lab's machines."""

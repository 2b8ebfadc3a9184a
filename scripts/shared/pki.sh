# shellcheck shell=sh
# shared_keys: what all masters of a cluster have in common, below /etc/kubernetes/pki
shared_keys() { echo ca.crt ca.key front-proxy-ca.crt front-proxy-ca.key etcd/ca.crt etcd/ca.key sa.key sa.pub; }

#!/bin/sh
set -eu
sysctl -p /etc/sysctl.d/90-kubernetes.conf

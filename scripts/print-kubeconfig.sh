#!/bin/sh
set -eu
cat /etc/kubernetes/admin.conf

#!/bin/sh
set -eu
systemctl daemon-reload
systemctl enable "$1"
systemctl restart "$1"

#!/bin/sh
set -eu
systemctl enable "$1"

#!/bin/sh
set -eu
for module; do
    modprobe "$module"
done

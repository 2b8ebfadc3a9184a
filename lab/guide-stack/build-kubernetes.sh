#!/bin/sh
# Builds Kubernetes from Debian's source package, in a Debian that has the Go of its time.
# usage: build-kubernetes.sh VERSION OUT COMMAND…    Runs in a root file system of its own, which is thrown away.
set -eu
version=$1 out=$2
minor=${version#*.}
shift 2
export HOME=/root GO111MODULE=off CGO_ENABLED=0 FORCE_HOST_GO=y PATH="/usr/lib/go-1.19/bin:$PATH"
mkdir -p /build "$out"
cd /build
apt-get -q -o APT::Sandbox::User=root source kubernetes
cd kubernetes-*/
# The one it carries panics where it was built with Go 1.18 or newer.
rm -r vendor/github.com/modern-go/reflect2
cp -r /usr/share/gocode/src/github.com/modern-go/reflect2 vendor/github.com/modern-go/
cat >/build/version <<END
KUBE_GIT_COMMIT=
KUBE_GIT_TREE_STATE=archive
KUBE_GIT_VERSION=v$version
KUBE_GIT_MAJOR=1
KUBE_GIT_MINOR=${minor%.*}
END
what=
for command; do what="$what cmd/$command"; done
make WHAT="$what" KUBE_GIT_VERSION_FILE=/build/version
for command; do cp "_output/local/go/bin/$command" "$out"; done
cp /usr/bin/etcd /usr/bin/etcdctl "$out"

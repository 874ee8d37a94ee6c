#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# machines_test.sh BIN_DIR: the chart mimic-machines on a real Kubernetes: two pods that boot a guest each, reached by
# `mimic --context`, and a sweep. The image is made of BIN_DIR's mimic.
set -euo pipefail
here=$(dirname "$(readlink -f -- "$0")")
root=${here%/*/*}
bin=$(cd "$1" && pwd)
command -v go >/dev/null || { echo "SKIP: there is no go in PATH, which builds the Kubernetes of the tests"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
"$root/tools/machine_image" "$work/mimic.tar" --name mimic.local/mimic:test --mimic "$bin/mimic" >/dev/null
helm=$("$root/tools/kube" helm)
PATH=$helm:$PATH "$here/run" "$bin" cluster --image "$work/mimic.tar" -- \
    python3 "$here/machines_test.py" "$bin/mimic" "$root/deploy/helm/mimic-machines"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# go_test.sh BIN FOLDER [ARGUMENT...]: go vet, gofmt and go test in a folder, with the programs of BIN. Ends with 77 if there is no Go
# of the version that go.mod names, or a newer one.
set -euo pipefail
bin=$(readlink -f -- "$1")
cd -- "$2"
shift 2

needed=$(sed -n 's/^go 1\.//p' go.mod)
go=
for candidate in "$(command -v go || true)" /usr/lib/go-*/bin/go; do
    [ -x "$candidate" ] || continue
    minor=$(GOTOOLCHAIN=local "$candidate" env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
    if [ "${minor:-0}" -ge "$needed" ]; then
        go=$candidate
        break
    fi
done
if [ -z "$go" ]; then
    printf 'skipped: no Go 1.%s or newer, in PATH or as /usr/lib/go-*/bin/go (Debian: golang-1.19-go; tools/setup test)\n' "$needed"
    exit 77
fi

# Nothing is fetched: neither a toolchain nor a module.
export GOTOOLCHAIN=local GOPROXY=off GOFLAGS=-mod=readonly GOWORK=off GOCACHE=${GOCACHE:-${bin%/*}/go-cache}
export MIMIC=$bin/mimic PATH=${go%/*}:$PATH
unset MIMIC_QEMU MIMIC_KVM
"$go" version
unformatted=$("${go%/*}/gofmt" -l .)
if [ -n "$unformatted" ]; then
    printf 'gofmt would change:\n%s\n' "$unformatted"
    exit 1
fi
"$go" vet ./...
exec "$go" test -count=1 -timeout=20m -v "$@" ./...

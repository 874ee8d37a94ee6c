#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# tools/sst on archives that look like an sst-core and build in no time: unpacking, options, cache, failures. (The real one
# takes 35 minutes; sst_test.py uses what it made.)
#
# usage: sst_tool_test.sh SOURCE
set -euo pipefail
source=$(readlink -f -- "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export MIMIC_CACHE=$folder/cache
failed() { printf 'FAIL: %s\n' "$*" >&2; exit 1; }
tool=$source/tools/sst

# make_archive NAME: with a configure that writes a make file, which installs what it was asked for.
make_archive() {
    local top=$folder/$1
    mkdir -p "$top"
    : >"$top/configure.ac"
    cat >"$top/${2:-configure}" <<'SH'
#!/bin/sh
if [ "$0" = ./autogen.sh ]; then cp autogen.sh configure; exit; fi
for option; do case $option in --prefix=*) prefix=${option#*=} ;; esac; done
test -f tests/Makefile.inc || exit 1
printf 'all:\n\techo built\ninstall:\n\tmkdir -p %s/bin\n\tprintf "%%s" "%s" >%s/bin/sst-config\n\tchmod +x %s/bin/sst-config\n' \
    "$prefix" "$*" "$prefix" "$prefix" >Makefile
SH
    chmod +x "$top/${2:-configure}"
}

"$tool" --path 2>/dev/null && failed '--path without a build'
[ "$("$tool" 2>/dev/null; echo $?)" = 2 ] || failed 'no argument is wrong usage'
"$tool" "$folder/none.tar" 2>/dev/null && failed 'a missing archive'

make_archive release
tar -C "$folder" -czf "$folder/release.tar.gz" release
bin=$("$tool" "$folder/release.tar.gz" 2>/dev/null) || failed 'a release'
[ "$bin" = "$folder/cache/sst/current/bin" ] || failed "printed $bin"
grep -q -- '--disable-mem-pools --disable-mpi' "$bin/sst-config" || failed 'options of a build'
[ "$("$tool" --path)" = "$bin" ] || failed '--path'
before=$(stat -c %Y "$folder/cache/sst/build.log")
touch -d @1 "$folder/cache/sst/build.log"
"$tool" "$folder/release.tar.gz" >/dev/null 2>&1
[ "$(stat -c %Y "$folder/cache/sst/build.log")" = 1 ] || failed "built again ($before)"
MPI=1 "$tool" "$folder/release.tar.gz" >/dev/null 2>&1
grep -q -- '--disable-mpi' "$bin/sst-config" && failed 'MPI=1 builds with MPI'

make_archive plain autogen.sh
tar -C "$folder/plain" -cf "$folder/plain.tar" .
if command -v libtoolize >/dev/null && command -v automake >/dev/null; then
    "$tool" "$folder/plain.tar" >/dev/null 2>&1 || failed 'an archive without configure'
else
    ("$tool" "$folder/plain.tar" 2>&1 || true) | grep -q 'apt-get install' || failed 'says what is missing'
fi

make_archive broken
printf '#!/bin/sh\necho it is broken; exit 3\n' >"$folder/broken/configure"
tar -C "$folder" -cf "$folder/broken.tar" broken
"$tool" "$folder/broken.tar" 2>"$folder/error" && failed 'a build that fails'
grep -q 'it is broken' "$folder/error" || failed 'the end of the log'
[ -z "$(find "$folder/cache/sst" -name 'work.*')" ] || failed 'work folders stay'
tar -C "$folder" -cf "$folder/other.tar" error
("$tool" "$folder/other.tar" 2>&1 || true) | grep -q 'no source of sst-core' || failed 'another archive'
echo ok

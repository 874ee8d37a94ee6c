#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs shellcheck over every tracked shell script: those with a shell's "#!" line, and *.sh.
# SC1091: files that are sourced under a computed name are checked by themselves.
set -euo pipefail
cd "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."

command -v shellcheck >/dev/null || { printf 'SKIP: shellcheck is missing. Run: tools/setup test\n'; exit 77; }
scripts=()
while read -r file; do
    if [ ! -f "$file" ]; then continue; fi
    case $file in
        *.sh) scripts+=("$file"); continue ;;
    esac
    IFS= read -r first <"$file" 2>/dev/null || true
    case $first in
        '#!'*sh | '#!'*sh\ *) scripts+=("$file") ;;
    esac
done < <(git -c safe.directory='*' ls-files | grep -vE '/(corpus|data|golden)/|\.(md|h|c|cpp|py|json|yaml|svg)$')
[ "${#scripts[@]}" -gt 0 ] || { printf 'SKIP: no tracked shell script was found (not a git checkout?)\n'; exit 77; }
shellcheck --exclude=SC1091 "${scripts[@]}"
printf '%d scripts\n' "${#scripts[@]}"

# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Finds the Debian mirror that apt is configured with: reads one-line (.list) and deb822 (.sources) files, see
# sources.list(5), and keeps the entries that serve Debian's own "main". Third-party entries, source entries, disabled
# ones and the security archive (which has another folder layout) are left out. Nothing here touches the network.

# Prints URI<TAB>SUITE<TAB>SIGNED-BY for every enabled binary entry with component main; files as arguments.
parse_sources() {
    local file
    for file in "$@"; do
        [ -r "$file" ] || continue
        case $file in
            *.sources) parse_deb822 "$file" ;;
            *) parse_one_line "$file" ;;
        esac
    done
}

parse_one_line() {
    awk '
        { sub(/\r$/, ""); sub(/#.*/, "") }
        $1 != "deb" { next }
        {
            line = $0; sub(/^[ \t]*deb[ \t]+/, "", line)
            signed = ""; arch_ok = 1
            if (line ~ /^\[/) {
                end = index(line, "]")
                if (!end) next
                n = split(substr(line, 2, end - 2), option, /[ \t]+/)
                line = substr(line, end + 1)
                for (i = 1; i <= n; i++) {
                    key = tolower(option[i]); sub(/[-+]?=.*/, "", key)
                    value = option[i]; sub(/^[^=]*=/, "", value)
                    if (key == "signed-by") signed = value
                    if (key == "arch") arch_ok = ("," value ",") ~ /,amd64,/
                }
            }
            n = split(line, word, /[ \t]+/); first = (word[1] == "") ? 2 : 1
            main = 0
            for (i = first + 2; i <= n; i++) if (word[i] == "main") main = 1
            if (main && arch_ok) print word[first] "\t" word[first + 1] "\t" signed
        }' "$1"
}

parse_deb822() {
    awk '
        function has(list, wanted,   n, i, item) {
            n = split(list, item, /[ \t]+/)
            for (i = 1; i <= n; i++) if (item[i] == wanted) return 1
            return 0
        }
        function flush(   nu, ns, i, j, uri, suite, signed) {
            if (has(field["types"], "deb") && has(field["components"], "main") &&
                tolower(field["enabled"]) !~ /^[ \t]*(no|false|without|off|disable|0)[ \t]*$/ &&
                (field["architectures"] ~ /^[ \t]*$/ || has(field["architectures"], "amd64"))) {
                signed = field["signed-by"]; gsub(/^[ \t]+|[ \t]+$/, "", signed)
                # A key may stand in the entry itself; it cannot be passed on in one line.
                if (signed ~ /BEGIN PGP/) signed = "inline"
                gsub(/[ \t]+/, ",", signed)
                nu = split(field["uris"], uri, /[ \t]+/); ns = split(field["suites"], suite, /[ \t]+/)
                for (i = 1; i <= nu; i++) for (j = 1; j <= ns; j++)
                    if (uri[i] != "" && suite[j] != "") print uri[i] "\t" suite[j] "\t" signed
            }
            split("", field); name = ""
        }
        { sub(/\r$/, "") }
        /^#/ { next }
        /^[ \t]*$/ { flush(); next }
        /^[ \t]/ { if (name != "") field[name] = field[name] " " $0; next }
        {
            colon = index($0, ":"); if (!colon) next
            name = tolower(substr($0, 1, colon - 1)); field[name] = substr($0, colon + 1)
        }
        END { flush() }' "$1"
}

# Filter: keeps the lines of parse_sources that are Debian's own archive, best first, as URI<TAB>SIGNED-BY.
# A suite name alone does not prove it (some vendors call theirs "bookworm", too), so an entry that pins a foreign key
# is dropped, and among the rest one with Debian's key or a path named "debian" goes first. Signatures decide in the end.
select_debian() {
    awk -F '\t' '
        BEGIN {
            names = "buster|bullseye|bookworm|trixie|forky|duke|sid|oldoldstable|oldstable|stable|testing|unstable"
            suite = "^(" names ")(-updates|-backports|-backports-sloppy|-proposed-updates)?/?$"
        }
        $2 !~ suite { next }
        $1 ~ /debian-security/ { next }
        $1 ~ /^cdrom:/ { next }
        $3 != "" && $3 != "inline" && $3 !~ /debian-archive/ { next }
        { uri = $1; sub(/\/+$/, "", uri) }
        seen[uri]++ { next }
        {
            rank = 3
            if (uri ~ /\/debian$|debian\.list$/) rank = 2
            if ($3 ~ /debian-archive/) rank = 1
            print rank "\t" uri "\t" $3
        }' | sort -s -n -k1,1 | cut -f2-
}

# The files that apt reads, one a line. MIMIC_APT_ETC replaces /etc/apt (for tests and containers).
source_files() {
    local list parts
    if [ -n "${MIMIC_APT_ETC:-}" ]; then
        list=$MIMIC_APT_ETC/sources.list parts=$MIMIC_APT_ETC/sources.list.d
    else
        eval "$(apt-config shell list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"
    fi
    printf '%s\n' "$list" "${parts%/}"/*.list "${parts%/}"/*.sources
}

# Debian's mirrors as URI<TAB>KEYRING, best first; MIMIC_DEBIAN_URI overrides what apt says.
find_mirrors() {
    local files uri signed keyring=${MIMIC_DEBIAN_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}
    if [ -n "${MIMIC_DEBIAN_URI:-}" ]; then
        printf '%s\t%s\n' "$MIMIC_DEBIAN_URI" "$keyring"
        return
    fi
    mapfile -t files < <(source_files)
    while IFS=$'\t' read -r uri signed; do
        # Debian's keyring package is the authority: its one file holds the keys of all suites, whereas an entry may
        # name the key of a single release.
        [ -r "$keyring" ] && signed=$keyring
        case $signed in
            '' | inline) ;;
            *) printf '%s\t%s\n' "$uri" "$signed" ;;
        esac
    done < <(parse_sources "${files[@]}" | select_debian)
}

# SPDX-License-Identifier: Apache-2.0
# Completion of mimic for bash (bash-completion loads it by its name). What fits is mimic's own answer.

_mimic() {
    local line word order='' folders=''
    local -a words=("${COMP_WORDS[@]:1:COMP_CWORD}") fit=()
    # bash splits at "=" and ":"; mimic wants whole words. What was split off in front is not repeated in the answer.
    local whole=${COMP_LINE:0:COMP_POINT}
    read -ra words <<<"$whole"
    words=("${words[@]:1}")
    [[ $whole == *[[:space:]] ]] && words+=('')
    local current=${words[-1]:-} last=${COMP_WORDS[COMP_CWORD]:-}
    case $last in '=' | ':') last= ;; esac
    local before=${current%"$last"}
    while IFS= read -r line; do
        case $line in
            :file) order='file' ;;
            :folder) order=folder ;;
            :nospace) compopt -o nospace 2>/dev/null ;;
            *) word=${line%%$'\t'*} fit+=("${word#"$before"}") ;;
        esac
    done < <("${COMP_WORDS[0]}" __complete "${words[@]}" 2>/dev/null)
    COMPREPLY=("${fit[@]}")
    if [ -n "$order" ]; then
        compopt -o filenames 2>/dev/null
        [ "$order" = file ] || folders=-d
        while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen ${folders:--f} -- "$last")
    fi
}
complete -F _mimic mimic

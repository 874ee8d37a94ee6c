# SPDX-License-Identifier: Apache-2.0
# Completion of mimic for fish. What fits is mimic's own answer.

function __mimic_complete
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    set -l current (commandline -ct)
    for line in ($program __complete $words "$current" 2>/dev/null)
        switch $line
            case ':file'
                __fish_complete_path "$current"
            case ':folder'
                __fish_complete_directories "$current"
            case ':nospace'
                # fish puts no blank behind "=" and ":".
            case '*'
                echo $line
        end
    end
end
complete -c mimic -f -a '(__mimic_complete)'

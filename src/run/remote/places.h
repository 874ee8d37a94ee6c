// SPDX-License-Identifier: Apache-2.0
// Places: which pod a machine is in. A word names a machine, a pod whose only machine is meant, or
// both as POD/MACHINE.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "remote/kubectl.h"

namespace mimic::remote {

struct Place {
    std::string pod;
    std::string machine;
};

/// Pods that run, with what each said (or why it said nothing) to `mimic WORDS...`. They are asked
/// at the same time, some at once. Errors: those of Kubectl::pods().
struct Answer {
    Pod pod;
    Result<std::string> text;
};
Result<std::vector<Answer>> ask_all(const Kubectl& kubectl, const std::vector<std::string>& words);

/// The place that `word` means. Errors: those of ask_all(); no_such_file_or_directory, with the
/// nearest name; invalid_argument if it could be several, with all.
Result<Place> find_place(const Kubectl& kubectl, const std::string& word);

/// The pod that `word` means, or the only one that runs if it is empty. Errors: as above.
Result<std::string> find_pod(const Kubectl& kubectl, const std::string& word);

}  // namespace mimic::remote

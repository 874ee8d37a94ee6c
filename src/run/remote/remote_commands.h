// SPDX-License-Identifier: Apache-2.0
// What `mimic --context NAME` does where it is more than one command in one pod: ps, results, web.
// Exit statuses; results go to stdout, problems to stderr.
#pragma once

#include <string>

#include "remote/kubectl.h"

namespace mimic::remote {

enum class PsFormat { kTable, kJson, kNames };

/// Machines of all pods. kNames: POD/MACHINE, a line each. A pod that does not answer is a row that
/// says so, and exit status 1.
int run_remote_ps(const Kubectl& kubectl, PsFormat format);

/// What came of the runs of Job `job`: the records that `mimic run --record -` printed, as JSON
/// Lines in the order of the indexes, with "index", "pod" and "node" added. 1 if a run has no
/// record (it is not done, or its pod has gone); which, goes to stderr.
int run_results(const Kubectl& kubectl, const std::string& job);

/// `mimic web` or `mimic api` (`command`) in the pod that `where` means (empty: the only one), and
/// a port here that leads to it. Prints the address and stays until a signal comes or one of the
/// two ends. Main thread only.
int run_remote_web(const Kubectl& kubectl, const std::string& command, const std::string& where);

}  // namespace mimic::remote

// SPDX-License-Identifier: Apache-2.0
// Kubectl: the user's kubectl as the way into pods. It knows the user's kubeconfig, proxies, logins
// and the API's protocols for exec and port-forward, and is kept up with them. No shell is between,
// and nothing that a pod says is believed: names are checked, texts are filtered, answers bounded.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"
#include "machine/process.h"

namespace mimic::remote {

/// Label of the chart deploy/helm/mimic-machines, by which its pods are found.
inline constexpr const char* kSelector = "app.kubernetes.io/name=mimic-machines";

struct KubectlOptions {
    std::string program = "kubectl";   // in PATH, or a path
    std::string context;               // of the kubeconfig; empty: its current one
    std::string name_space;            // empty: that of the context
    std::string selector = kSelector;  // of pods that run machines
};

struct Pod {
    std::string name;
    std::string phase;  // Running, Pending, ..
    std::string node;
    std::optional<unsigned> index;  // of a pod of an Indexed Job
    std::string created;            // as the API writes it; sorts by time
};

/// Thread-safe; immutable.
class Kubectl {
public:
    explicit Kubectl(KubectlOptions options) : options_(std::move(options)) {}

    /// The pods with the selector and `more` (",key=value", or empty), by name. Errors: those of
    /// run_capture(); io_error with what kubectl said; message_size for more pods than are read.
    Result<std::vector<Pod>> pods(const std::string& more = "") const;

    /// The command line of `mimic WORDS...` in the container of a pod.
    std::vector<std::string> in_pod(const std::string& pod, const std::vector<std::string>& words,
                                    const std::vector<std::string>& flags = {}) const;

    /// The command line of kubectl with `words`.
    std::vector<std::string> argv(const std::vector<std::string>& words) const;

    /// Runs `mimic WORDS...` in a pod and returns what it printed, at most 1 MiB. Errors: as
    /// pods().
    Result<std::string> ask(const std::string& pod, const std::vector<std::string>& words) const;

private:
    Result<std::string> capture(const std::vector<std::string>& command) const;

    const KubectlOptions options_;
};

/// How a command's output goes to the terminal.
enum class Output {
    kFiltered,  // as a TerminalFilter leaves it
    kRaw,       // byte for byte
};

/// Runs a command to its end with its output as ours, and returns its exit status (128 + n after
/// signal n), or 125 with a message if it cannot be started. `pass_input`: our standard input is
/// its, too.
int run_through(const std::vector<std::string>& argv, Output output, bool pass_input);

/// Whether `text` is a name that the API gives a pod (RFC 1123 subdomain): so it is no option.
bool is_pod_name(std::string_view text);

}  // namespace mimic::remote

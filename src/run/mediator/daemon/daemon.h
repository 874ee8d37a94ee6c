// SPDX-License-Identifier: Apache-2.0
// The daemon: a mediator's parts wired together. SIGTERM answers what is in flight and ends; SIGINT
// ends at once, and devices with protocol v3 send again to the next mediator; SIGHUP reads the
// configuration anew and goes on in a new audit log.
#pragma once

#include <string>

#include "base/result.h"
#include "mediator/config/config.h"

namespace mimic::mediator {

struct DaemonOptions {
    std::string name = "default";                   // of its run folder
    std::string config_file;                        // empty: `config` stands
    Config config;                                  // as given by options, or as read from the file
    Duration spin = std::chrono::microseconds(50);  // EventLoop::set_spin()
    Duration drain_patience = std::chrono::seconds(30);  // after SIGTERM; then it ends all the same
    bool quiet = false;                                  // only the line "mimic-mediator: ready"
};

/// Runs until a signal ends it. Prints "mimic-mediator: ready" on standard output, and tells the
/// service manager (NOTIFY_SOCKET), once all sockets are served. Call before the first thread is
/// made. Errors: a folder that another mediator has, sockets that cannot be served.
Status run_daemon(DaemonOptions options);

}  // namespace mimic::mediator

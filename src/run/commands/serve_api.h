// SPDX-License-Identifier: Apache-2.0
// `mimic api` and `mimic web`: the control API of all machines of this user on a loopback port, to
// whoever has the token; `mimic web` with the page that shows them.
#pragma once

#include <cstdint>
#include <string>

namespace mimic::commands {

struct ServeApiOptions {
    uint16_t port = 0;       // of 127.0.0.1; 0: one that is free
    std::string token_file;  // empty: a token is made and printed
    bool page = false;       // with the page of src/run/page
    uint16_t tunnel = 0;     // a port of 127.0.0.1 elsewhere that leads here; 0: there is none
    bool until_eof = false;  // serve until standard input ends, too
};

/// Prints one line with the address and serves until SIGTERM, SIGINT or SIGHUP, or as
/// `options` say. Returns the exit
/// status. Main thread only, before others start.
int run_serve_api(const ServeApiOptions& options);

}  // namespace mimic::commands

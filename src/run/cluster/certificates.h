// SPDX-License-Identifier: Apache-2.0
// The certificates of a cluster: one authority, made anew with each cluster, and what it signs.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace mimic::cluster {

/// PEM texts.
struct Identity {
    std::string certificate;
    std::string key;
};

struct Subject {
    std::string name;                  // CN: a user to Kubernetes
    std::string organization;          // O: a group; empty: none
    std::vector<std::string> hosts{};  // "IP:127.0.0.1", "DNS:localhost": a server; empty: a client
};

/// A certificate authority that is valid for ten years. Errors: io_error if OpenSSL refuses.
/// Thread-safe.
Result<Identity> make_authority(const std::string& name);

/// What `authority` vouches for, for as long. Errors: io_error. Thread-safe.
Result<Identity> issue(const Identity& authority, const Subject& subject);

/// A private key on P-256, PEM: what service accounts' tokens are signed with.
Result<std::string> make_key();

/// 256 random bits in hexadecimal digits.
Result<std::string> make_token();

}  // namespace mimic::cluster

// SPDX-License-Identifier: Apache-2.0
// Certificates for tests, made when they run: an authority of the test's own and what it issues.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace mimic::kube::testing {

struct KeyPair {
    std::string certificate;  // PEM
    std::string key;          // PEM
};

/// An authority nobody else knows. Aborts if OpenSSL cannot. Thread-bound.
class Authority {
public:
    Authority();
    ~Authority();

    /// PEM of its certificate.
    const std::string& certificate() const { return own_.certificate; }

    /// A certificate that is good for an hour, for servers and clients. `names` as OpenSSL writes
    /// them: "IP:127.0.0.1", "DNS:api.test"; none for a client, whose user is `subject`.
    KeyPair issue(const std::string& subject, const std::vector<std::string>& names);

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
    KeyPair own_;
};

}  // namespace mimic::kube::testing

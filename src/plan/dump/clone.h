// SPDX-License-Identifier: Apache-2.0
// From a dump of real devices to a topology file whose machine has clones of them, and the list
// of what could not be cloned. docs/clone.md is the user's page.
#pragma once

#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "dump/dump.h"
#include "model/device_model.h"

namespace mimic::dump {

enum class Attach : uint8_t { kAuto, kRootPort, kFabric };

struct CloneOptions {
    model::Models models{};         // of the program: the file is parsed once it is made
    std::string machine = "clone";  // name of the machine
    std::string source = "a dump";  // what was read, for the comment at the head
    Attach attach = Attach::kAuto;  // fabric if there are bridges or SR-IOV, else root port
    std::vector<Address> only{};    // with the functions beside them; empty: all
};

struct Cloned {
    std::string yaml;
    std::vector<std::string> losses;  // what the clones lack; also in the file's head
    size_t functions = 0;             // clones, without ports
    size_t ports = 0;
};

/// Makes the file. Pure. The problems are those of a dump that cannot be cloned, with lines of the
/// dump, or what topology::parse() says about the result, which must be a machine that can be.
tl::expected<Cloned, std::vector<Problem>> make_clone(const Dump& dump,
                                                      const CloneOptions& options);

/// "file:line: message" for each problem, for stderr.
std::string problem_text(const std::vector<Problem>& problems, const std::string& file);

}  // namespace mimic::dump

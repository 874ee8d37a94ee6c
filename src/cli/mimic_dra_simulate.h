// SPDX-License-Identifier: Apache-2.0
// `mimic-dra --simulate FILE`: a command line of its own, since it is no node's agent.
#pragma once

#include <optional>

namespace mimic::cli {

/// The exit status if the command line has --simulate; it was done then. Nothing if it has not.
/// Call first in main(). Throws what CLI11 throws but for wrong usage, which is status 2.
std::optional<int> simulate_main(int argc, const char* const* argv);

}  // namespace mimic::cli

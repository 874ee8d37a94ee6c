// SPDX-License-Identifier: Apache-2.0
// What `mimic plan FILE --format slices` says of a machine, read back into values: the simulator
// repeats it. The program may be another version than ours, or another program, so its output is
// checked like any peer's.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "slices/device.h"

namespace mimic::dra {

/// What `mimic plan` may print. Arbitrary: 256 buses full of functions need a tenth of it.
inline constexpr size_t kMaxPlanBytes = size_t{64} << 20;

/// A Quantity that is a whole number: "16Gi", "2500", "3M".
Result<uint64_t> parse_quantity(std::string_view text);

/// The pools of a List of ResourceSlices, in the order in which they come first; slices of one pool
/// are joined. Errors: invalid_argument for what is no such list, names another driver or holds
/// anything that slices::Pool has no place for, with the place; whatever slices::check() says.
Result<std::vector<slices::Pool>> pools_of_list(std::string_view text);

/// Runs `program plan --format slices --numvfs NUMVFS FILE` and returns what it prints. Errors:
/// those of posix_spawn(3); io_error if it fails (its own message is on our stderr); file_too_large
/// above kMaxPlanBytes. Blocks until it ends.
Result<std::string> run_plan(const std::string& program, const std::string& file,
                             const std::string& numvfs);

}  // namespace mimic::dra

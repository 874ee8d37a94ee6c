// SPDX-License-Identifier: Apache-2.0
// The moments at which a plugin can be killed so that something half done is left. Tests stop it at
// each of them (--crash-at) and look whether what comes next mends it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string_view>

namespace mimic::dra {

enum class Step : uint8_t {
    kPrepareBegin,            // nothing is done
    kPrepareTemporary,        // half of the checkpoint's new text is written
    kPrepareStarted,          // the checkpoint says that the claim is being prepared
    kPrepareVfsMade,          // VFs were made
    kPrepareStatusWritten,    // a device's status says 1
    kPrepareMetadata,         // metadata files are there
    kPrepareCdiWritten,       // the CDI files are there
    kPrepareCompleted,        // the checkpoint says so; the kubelet has no answer yet
    kUnprepareBegin,          // nothing is done
    kUnprepareCdiRemoved,     // the CDI files are gone
    kUnprepareMetadata,       // the metadata files, too
    kUnprepareStatusCleared,  // a device's status says 0
    kUnprepareVfsRemoved,     // the VFs that we made are gone
    kUnprepareForgotten,      // the checkpoint knows nothing of the claim any more
    kCount,
};

inline constexpr std::array<std::string_view, static_cast<size_t>(Step::kCount)> kStepNames = {
    "prepare-begin",         "prepare-temporary",          "prepare-started",
    "prepare-vfs-made",      "prepare-status-written",     "prepare-metadata-written",
    "prepare-cdi-written",   "prepare-completed",          "unprepare-begin",
    "unprepare-cdi-removed", "unprepare-metadata-removed", "unprepare-status-cleared",
    "unprepare-vfs-removed", "unprepare-forgotten",
};

/// Called at each step; empty: nobody is. A test's may throw to leave everything as it is.
using StepHook = std::function<void(Step)>;

}  // namespace mimic::dra

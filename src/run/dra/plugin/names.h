// SPDX-License-Identifier: Apache-2.0
// Names that come from the kubelet or the API server and become parts of paths and of CDI ids,
// beyond those that slices/names.h knows. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace mimic::dra {

inline constexpr size_t kMaxUid = 128;         // arbitrary; a UID of Kubernetes is a UUID
inline constexpr size_t kMaxObjectName = 253;  // of an object of Kubernetes, and of a pool

/// Letters, digits and '-', beginning with a letter or digit: nothing that could leave a folder.
bool is_uid(std::string_view text);

/// What may stand in an environment variable that a container gets: printable ASCII and well-formed
/// other bytes, of at most `max` bytes, no control characters.
bool is_printable(std::string_view text, size_t max);

/// `text` for a message: at most 80 bytes of it, unprintable ones as '?'.
std::string shown(std::string_view text);

/// "gpu0-vf1" -> "GPU0_VF1": as part of an environment variable's name.
std::string as_variable(std::string_view name);

}  // namespace mimic::dra

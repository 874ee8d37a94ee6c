// SPDX-License-Identifier: Apache-2.0
// Guest images that were made elsewhere: a folder with vmlinux-SERIES and initrd-SERIES, for places
// without a network, a compiler and a cache, such as a container.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "guest_image/guest_image.h"

namespace mimic::guest_image {

/// What a guest with kernel `series` boots, out of the folder $MIMIC_GUEST_IMAGES; if that is not
/// set, out of <prefix>/share/mimic/images of an installed Mimic, or nothing. Errors:
/// no_such_file_or_directory if the folder has no such image, with those that it has;
/// permission_denied if others could have filled it (check_owner()). Thread-safe.
Result<std::optional<GuestImage>> prepared_image(const std::string& series);

/// Puts copies of `image` into `folder`, where prepared_image() finds them; readable for all, for
/// who makes them is seldom who boots them. Errors: those of open(2), write(2), rename(2).
Status store_prepared_image(const GuestImage& image, const std::string& series,
                            const std::string& folder);

}  // namespace mimic::guest_image

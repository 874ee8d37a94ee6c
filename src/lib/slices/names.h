// SPDX-License-Identifier: Apache-2.0
// The grammars of names and values in resource.k8s.io/v1. Each function is true if the API server
// takes the text, whatever bytes it holds; lengths are those of slices.h. Pure and thread-safe.
#pragma once

#include <string_view>

namespace mimic::slices {

/// RFC 1123 label, lower case: devices, counter sets, counters.
bool is_dns_label(std::string_view text);

/// RFC 1123 subdomain of at most `max` bytes, lower case: drivers, nodes.
bool is_dns_subdomain(std::string_view text, size_t max);

/// Subdomains joined by '/', kMaxSubdomain bytes in all.
bool is_pool_name(std::string_view text);

/// A C identifier of at most kMaxId characters, or a driver's name, '/' and such an identifier.
bool is_qualified_name(std::string_view text);

/// Key of a label or taint: a name of at most 63 characters, with or without a subdomain and '/'.
bool is_label_key(std::string_view text);

/// Value of a label or taint; may be empty.
bool is_label_value(std::string_view text);

/// Semantic Versioning 2.0.0, at most kMaxText bytes.
bool is_version(std::string_view text);

/// UTF-8 of at most kMaxText bytes.
bool is_attribute_text(std::string_view text);

}  // namespace mimic::slices

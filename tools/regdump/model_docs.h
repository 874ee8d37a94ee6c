// SPDX-License-Identifier: Apache-2.0
// What documents say of the models, printed from them: tables of docs/topology.md, and their keys
// in the schema.
#pragma once

#include <string>

#include "base/result.h"
#include "model/device_model.h"

namespace mimic {

/// `page`, docs/topology.md, with the text between its markers replaced. Errors: invalid_argument
/// without the markers.
Result<std::string> with_models(const std::string& page, model::Models models);

/// `schema`, docs/schema/mimic-v1.schema.json, with the names and properties of the models. Keys
/// that it has keep their place. Errors: invalid_argument for a text that is no such schema.
Result<std::string> schema_with_models(const std::string& schema, model::Models models);

/// `text` with what lies between the lines "<!-- regdump:begin NAME -->" and "<!-- regdump:end NAME
/// -->" replaced. Errors: invalid_argument without them.
Result<std::string> with_section(const std::string& text, const std::string& name,
                                 const std::string& content);

}  // namespace mimic

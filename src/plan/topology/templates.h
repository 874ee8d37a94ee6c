// SPDX-License-Identifier: Apache-2.0
// Templates: named mappings of fields that machines, switches and devices take with
// `template: NAME`. An object's own fields win; mappings inside (link, vfs) are merged field by
// field, everything else is replaced.
#pragma once

#include <map>
#include <set>
#include <string>

#include "topology/device_keys.h"
#include "topology/yaml.h"

namespace mimic::topology {

inline constexpr unsigned kMaxTemplateChain = 16;  // arbitrary

/// The `templates:` of one file. Thread-bound; borrows both from parse().
class Templates {
public:
    Templates(Diagnostics& diagnostics, const DeviceKeys& keys)
        : diagnostics_(diagnostics), keys_(keys) {}

    /// Takes the value of `templates:`, and reports keys that no object has.
    void read(const YamlPtr& node);

    /// `object` with its template's fields merged in and without the key `template`; `object`
    /// itself if it has none. Unknown names and cycles are reported, and then the object's own
    /// fields are what is left.
    YamlPtr apply(const YamlPtr& object);

private:
    YamlPtr resolve(const YamlPtr& object, unsigned chain);
    YamlPtr named(const std::string& name, Location where, unsigned chain);

    Diagnostics& diagnostics_;
    const DeviceKeys& keys_;
    std::map<std::string, YamlPtr> raw_;
    std::map<std::string, YamlPtr> resolved_;
    std::set<std::string> active_;  // being resolved, to find cycles
};

}  // namespace mimic::topology

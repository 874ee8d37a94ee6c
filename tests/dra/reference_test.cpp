// SPDX-License-Identifier: Apache-2.0
// docs/kubernetes/api-reference.md names every variable that a container gets, and no other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "devices/all_dra.h"
#include "dra/plugin/cdi.h"

namespace mimic::dra {
namespace {

std::set<std::string> documented() {
    std::ifstream file(MIMIC_SOURCE_DIR "/docs/kubernetes/api-reference.md");
    const std::string page{std::istreambuf_iterator<char>(file), {}};
    const size_t begin = page.find("<!-- regdump:begin dra-variables -->");
    const size_t end = page.find("<!-- regdump:end dra-variables -->");
    EXPECT_NE(begin, std::string::npos);
    std::set<std::string> names;
    for (size_t at = page.find("\n| `", begin); at < end; at = page.find("\n| `", at + 1)) {
        names.insert(page.substr(at + 4, page.find('`', at + 4) - at - 4));
    }
    return names;
}

TEST(ApiReference, HasTheVariablesOfContainers) {
    std::set<std::string> given;
    for (const slices::DraFacts* const facts : devices::all_dra()) {
        KnownDevice device;
        device.view.node = fmt::format("{}0", facts->node_prefix);
        device.name = device.view.node;
        device.view.pci_address = "0000:11:00.0";
        device.class_dir = "/sys/class/x/" + device.name;
        device.dev_node = "/dev/" + device.name;
        for (const slices::DraAttribute& attribute : facts->attributes) {
            device.view.files[std::string(attribute.sysfs)] = "1";
        }
        PreparedDevice prepared;
        prepared.device = device.name;
        const CdiDevice made = describe_device(*facts, "uid", prepared, device, "/sys/devices/x");
        std::string own = fmt::format("{}_{}_", facts->env_prefix, facts->node_prefix);
        for (char& c : own) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        own.insert(own.size() - 1, "0");
        for (const std::string& line : made.env) {
            const std::string name = line.substr(0, line.find('='));
            if (!name.starts_with(own)) given.insert(name);
        }
    }
    EXPECT_EQ(given, documented());
}

}  // namespace
}  // namespace mimic::dra

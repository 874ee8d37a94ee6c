// SPDX-License-Identifier: Apache-2.0
// The topology says what a guest must find, the device models are what it finds: both know the
// facts of a model, and this test is where they meet.
#include "device_host/device_factory.h"

#include <algorithm>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "devices/mock_accel/mock_accel.h"
#include "outputs/outputs.h"
#include "topology/topology.h"

namespace mimic::device_host {
namespace {

constexpr const char* kFile = R"(
version: 1
machine:
  name: m
  devices:
    - {name: plain, model: mock-accel}
    - {name: uuid, model: mock-accel, uuid: 6BA7B810-9DAD-11d1-80B4-00C04FD430C8, class: 0x120000}
    - {name: label, model: mock-accel, uuid: NODE1-NUMA0-PF, memory: 3G, capabilities: 0x81}
    - {name: nearly, model: mock-accel, uuid: 6ba7b810-9dad-11d1-80b4-00c04fd430cg}
    - {name: spaced, model: mock-accel, uuid: " a b ", link: {speed: gen2, width: 4}}
    - {name: sriov, model: mock-accel, vfs: {count: 7, memory: 1G}}
)";

uint64_t number(const nlohmann::json& text) {
    return std::stoull(text.get<std::string>(), nullptr, 0);
}

// A register as the expected tree writes it: hexadecimal, the UUID as bytes, the label as text.
std::string printed(const mock_accel::MockAccel& device, const std::string& name) {
    const auto values = device.snapshot().values;
    if (values.contains(name)) return fmt::format("{:#x}", values.at(name));
    std::string bytes;
    for (int i = 0; values.contains(fmt::format("{}[{}]", name, i)); ++i) {
        const auto word = values.at(fmt::format("{}[{}]", name, i));
        for (unsigned b = 0; b < 4; ++b) bytes += static_cast<char>(word >> (8 * b));
    }
    if (name == "LABEL") return bytes.c_str();
    std::string hex;
    for (const char byte : bytes) hex += fmt::format("{:02x}", static_cast<uint8_t>(byte));
    return hex;
}

void expect_same(const pci::Function& made, const nlohmann::json& expected) {
    SCOPED_TRACE(expected.at("name").get<std::string>());
    EXPECT_EQ(made.options().vendor_id, number(expected.at("vendor")));
    EXPECT_EQ(made.options().device_id, number(expected.at("device")));
    EXPECT_EQ(made.options().class_code, number(expected.at("class")));
    std::array<uint64_t, pci::kBarCount> sizes{};
    for (const auto& bar : expected.at("bars"))
        sizes.at(bar.at("index").get<size_t>()) = bar.at("size").get<uint64_t>();
    for (size_t i = 0; i < sizes.size(); ++i) EXPECT_EQ(made.bars().at(i).size, sizes.at(i));

    const auto& device = dynamic_cast<const mock_accel::MockAccel&>(made);
    for (const auto& [name, value] : expected.at("registers").items()) {
        SCOPED_TRACE(name);
        const auto want = value.get<std::string>();
        const bool is_bytes = name == "UUID" || name == "LABEL";
        EXPECT_EQ(printed(device, name), is_bytes ? want : fmt::format("{:#x}", number(value)));
    }
    EXPECT_EQ(device.display_uuid(), expected.at("sysfs").at("attributes").at("uuid"));
}

TEST(DeviceFactory, MakesWhatTheExpectedTreeSays) {
    const auto model = topology::parse(kFile, "test.yaml");
    ASSERT_TRUE(model.has_value()) << model.error().str();
    const auto tree = nlohmann::json::parse(outputs::tree_json(*model));
    const auto& machine = model->machines.at(0);
    const auto& devices = tree.at("machines").at(0).at("devices");
    ASSERT_EQ(devices.size(), machine.devices.size());
    for (size_t d = 0; d < machine.devices.size(); ++d) {
        const auto& functions = machine.devices.at(d).functions;
        for (size_t f = 0; f < functions.size(); ++f) {
            auto made = make_function(machine.devices.at(d), functions.at(f));
            ASSERT_TRUE(made) << made.error().message();
            expect_same(**made, devices.at(d).at("functions").at(f));
        }
    }
}

TEST(DeviceFactory, RefusesAModelThatIsNotBuiltIn) {
    topology::DeviceSpec device;
    device.name = "gpu0";
    device.model = "quantum";
    const auto made = make_function(device, {});
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().message(), "device gpu0: no model quantum is built in");
}

}  // namespace
}  // namespace mimic::device_host

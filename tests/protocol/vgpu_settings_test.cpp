// SPDX-License-Identifier: Apache-2.0
// What a topology file says of a vgpu-stub, and the device that this makes: it finds its mediator.
#include <filesystem>

#include <gmock/gmock.h>

#include "base/event_loop.h"
#include "compute/request.h"
#include "compute/testing/fake_mediator.h"
#include "devices/vgpu_stub/model.h"
#include "devices/vgpu_stub/test_bench.h"
#include "topology/topology.h"

namespace mimic::vgpu_stub {
namespace {

using testing::HasSubstr;

constexpr std::array kModels = {&kModel};

tl::expected<topology::Model, topology::Diagnostics> read_device(const std::string& keys) {
    return topology::parse(
        "version: 1\nmachine:\n  name: m\n  devices:\n    - {name: \"vgpu{index}\", "
        "model: vgpu-stub" +
            keys + "}\n",
        "f.yaml", kModels);
}

std::vector<model::FunctionSpec> functions_of(const std::string& keys) {
    const auto model = read_device(keys);
    if (!model) {
        ADD_FAILURE() << model.error().str();
        return {};
    }
    return model->machines[0].devices[0].functions;
}

std::string problems_of(const std::string& keys) {
    const auto model = read_device(keys);
    return model ? "" : model.error().str();
}

TEST(VgpuSettings, WithoutAnyItIsTheSeedsDevice) {
    const model::FunctionSpec function = functions_of("").at(0);
    EXPECT_EQ(function.vendor_id, 0x1af4);
    EXPECT_EQ(function.device_id, 0x1111);
    EXPECT_EQ(function.class_code, 0x120000U);
    EXPECT_EQ(function.value(kVmIdKey), 0U);
    EXPECT_EQ(function.value(kPoolIdKey), uint64_t{'A'});
    EXPECT_EQ(function.value(kPriorityKey), 1U);
    EXPECT_EQ(function.value(kExtensionsKey), 1U);
    EXPECT_EQ(function.value(kLengthErrorKey), 0U);
    EXPECT_EQ(function.vectors(), 2U);
}

TEST(VgpuSettings, WordsAndLettersBecomeNumbers) {
    const model::FunctionSpec function = functions_of(
        ", vm_id: 0xffffffff, pool_id: Z, priority: high, extensions: false, length_error: 9")[0];
    EXPECT_EQ(function.value(kVmIdKey), 0xffffffffU);
    EXPECT_EQ(function.value(kPoolIdKey), uint64_t{'Z'});
    EXPECT_EQ(function.value(kPriorityKey), 2U);
    EXPECT_EQ(function.value(kExtensionsKey), 0U);
    EXPECT_EQ(function.value(kLengthErrorKey), 1U);
}

TEST(VgpuSettings, WhatAGuestShallSee) {
    const model::FunctionSpec function = functions_of(", vm_id: 12, pool_id: B, priority: low")[0];
    const auto shown = [&](model::Expectation::Layer layer, std::string_view name) {
        for (const model::Expectation& one : kModel.expects)
            if (one.layer == layer && one.name == name)
                return model::expected_text(one, function, -1);
        return std::string("nothing");
    };
    EXPECT_EQ(shown(model::Expectation::Layer::kRegister, "POOL_ID"), "0x00000042");
    EXPECT_EQ(shown(model::Expectation::Layer::kRegister, "PRIORITY"), "0x00000000");
    EXPECT_EQ(shown(model::Expectation::Layer::kSysfs, "pool_id"), "B");
    EXPECT_EQ(shown(model::Expectation::Layer::kSysfs, "priority"), "low");
    EXPECT_EQ(shown(model::Expectation::Layer::kSysfs, "vm_id"), "12");
}

TEST(VgpuSettings, VfsFollowFromTheirPf) {
    const auto functions = functions_of(
        ", attach: fabric, sriov: native, vm_id: 100, pool_id: B, priority: low, "
        "vfs: [{}, {}, {vm_id: 7, pool_id: C, priority: high}]");
    ASSERT_EQ(functions.size(), 4U);
    EXPECT_EQ(functions[1].value(kVmIdKey), 101U);
    EXPECT_EQ(functions[2].value(kVmIdKey), 102U);
    EXPECT_EQ(functions[2].value(kPoolIdKey), uint64_t{'B'});
    EXPECT_EQ(functions[2].value(kPriorityKey), 0U);
    EXPECT_EQ(functions[3].value(kVmIdKey), 7U);
    EXPECT_EQ(functions[3].value(kPoolIdKey), uint64_t{'C'});
    EXPECT_EQ(functions[3].value(kPriorityKey), 2U);
    const auto last = functions_of(
        ", attach: fabric, sriov: native, vm_id: 0xffffffff, vfs: {count: 2}");
    ASSERT_EQ(last.size(), 3U);
    EXPECT_EQ(last[1].value(kVmIdKey), 0U);
    EXPECT_EQ(last[2].value(kVmIdKey), 1U);
}

// The public mediator's device has the ids of a GPU: a file may say those, and no driver of ours
// binds by itself.
TEST(VgpuSettings, IdsAreTheFilesToSay) {
    const auto functions = functions_of(
        ", attach: fabric, sriov: native, vendor_id: 0x10de, device_id: 0x2331, class: 0x030200, "
        "vfs: {count: 2}");
    ASSERT_EQ(functions.size(), 3U);
    for (const model::FunctionSpec& function : functions) {
        EXPECT_EQ(function.vendor_id, 0x10de);
        EXPECT_EQ(function.device_id, 0x2331);
        EXPECT_EQ(function.class_code, 0x030200U);
        EXPECT_TRUE(function.driver().name.empty());
        EXPECT_EQ(model::node_name(function, 0), "");
    }
    const auto device = make_function(
        {.function = functions[0], .native_vfs = std::span(functions).subspan(1)});
    ASSERT_TRUE(device.has_value()) << device.error().message();
    EXPECT_EQ((*device)->options().vendor_id, 0x10de);
    EXPECT_EQ((*device)->options().device_id, 0x2331);
    EXPECT_EQ((*device)->options().class_code, 0x030200U);
    EXPECT_EQ(functions_of("")[0].driver().name, "vgpu-stub");
    EXPECT_THAT(problems_of(", vendor_id: 0xffff"), HasSubstr("vendor_id"));
    EXPECT_THAT(problems_of(", driver: foo"), HasSubstr("of a device that is not external"));
}

TEST(VgpuSettings, MistakesAreNamed) {
    EXPECT_THAT(problems_of(", pool_id: AB"), HasSubstr("expected a letter, A to Z"));
    EXPECT_THAT(problems_of(", pool_id: a"), HasSubstr("expected a letter, A to Z"));
    EXPECT_THAT(problems_of(", pool_id: \"\""), HasSubstr("expected a letter, A to Z"));
    EXPECT_THAT(problems_of(", priority: 2"), HasSubstr("low, medium or high"));
    EXPECT_THAT(problems_of(", priority: hihg"), HasSubstr("low, medium or high"));
    EXPECT_THAT(problems_of(", length_error: 3"), HasSubstr("2 or 9"));
    EXPECT_THAT(problems_of(", extensions: maybe"), HasSubstr("false or true"));
    EXPECT_THAT(problems_of(", vm_id: 0x100000000"), HasSubstr("vm_id"));
    EXPECT_THAT(problems_of(", mediator: {protocol: v3}"),
                HasSubstr("'mediator' without 'socket'"));
    EXPECT_THAT(problems_of(", mediator: {socket: /s, protocol: v4}"), HasSubstr("v3"));
    EXPECT_THAT(problems_of(", mediator: {socket: /s, answer_timeout: 1us}"),
                HasSubstr("answer_timeout"));
    EXPECT_EQ(problems_of(", mediator: {socket: \"/tmp/vgpu-mediator-<vm_id>.sock\"}"), "");
}

// --- The device of a file, and a mediator ----------------------------------------------------

/// A slot whose runner is a real loop, where sockets are.
class LoopSlot final : public pci::FakeSlot {
public:
    explicit LoopSlot(EventLoop& loop) : loop_(loop) {}
    TaskRunner& runner() override { return loop_; }

private:
    EventLoop& loop_;
};

struct VgpuDeviceTest : testing::Test {
    static uint32_t read(pci::Function& device, const reg::Register& reg) {
        uint32_t value = 0;
        device.read_bar(0, reg.offset, {reinterpret_cast<uint8_t*>(&value), 4});
        return value;
    }
    static void write(pci::Function& device, uint64_t offset, uint32_t value) {
        device.write_bar(0, offset, {reinterpret_cast<const uint8_t*>(&value), 4});
    }
};

struct VgpuMediatorTest : VgpuDeviceTest, testing::WithParamInterface<std::string> {
    VgpuMediatorTest() {
        char folder_name[] = "/tmp/vgpu-settings-XXXXXX";
        folder = ::mkdtemp(folder_name);
    }
    ~VgpuMediatorTest() override { std::filesystem::remove_all(folder); }

    void run_until(EventLoop& loop, const std::function<bool()>& done) {
        const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (!done()) {
            ASSERT_LT(std::chrono::steady_clock::now(), give_up);
            loop.run_once(std::chrono::milliseconds(20));
        }
    }

    std::string folder;
};

TEST_F(VgpuDeviceTest, TheErrorOfLengthZeroIsTheFilesToSay) {
    const std::pair<const char*, uint32_t> kCases[] = {
        {"", 2}, {", length_error: 2", 2}, {", length_error: 9", 9}};
    for (const auto& [keys, error] : kCases) {
        const auto functions = functions_of(keys);
        ASSERT_EQ(functions.size(), 1U);
        const auto device = make_function({.function = functions[0]});
        ASSERT_TRUE(device.has_value()) << device.error().message();
        pci::FakeSlot slot;
        (*device)->attach(slot);
        write(**device, DOORBELL.offset, 1);
        EXPECT_EQ(read(**device, ERROR_CODE), error) << keys;
        (*device)->detach();
    }
}

INSTANTIATE_TEST_SUITE_P(Protocols, VgpuMediatorTest, testing::Values("packet", "v1", "v2", "v3"),
                         [](const auto& one) { return one.param; });

TEST_P(VgpuMediatorTest, ASumByEachProtocol) {
    const auto owned = std::move(EventLoop::create()).value();
    EventLoop& loop = *owned;
    compute::FakeMediator::Options options;
    for (size_t i = 0; i < settings::kProtocolWords.size(); ++i)
        if (settings::kProtocolWords[i] == GetParam())
            options.protocol = static_cast<compute::Protocol>(i);
    options.script = [](const compute::FakeMediator::Request& request) {
        EXPECT_EQ(request.identity, (compute::Identity{.vm_id = 5, .pool_id = 'B', .priority = 2}));
        const auto view = compute::view_request(request.bytes);
        const uint32_t sum = view ? view->params[0] + view->params[1] : 0;
        return compute::FakeMediator::Reply{VGPU_OK,
                                            compute::make_response(VGPU_OK, std::span(&sum, 1))};
    };
    const auto mediator = compute::FakeMediator::listen(folder + "/m-5.sock", options, loop);
    ASSERT_TRUE(mediator.has_value()) << mediator.error().message();
    const model::FunctionSpec function = functions_of(
        ", vm_id: 5, pool_id: B, priority: high, mediator: {socket: \"" + folder +
        "/m-<vm_id>.sock\", protocol: " + GetParam() + "}")[0];
    const auto device = make_function({.function = function});
    ASSERT_TRUE(device.has_value()) << device.error().message();
    pci::Function& vgpu = **device;
    LoopSlot slot(loop);
    vgpu.attach(slot);
    const uint32_t numbers[] = {40, 2};
    const auto request = compute::make_request(VGPU_OP_SUM, numbers);
    for (size_t at = 0; at < request.size(); at += 4) {
        uint32_t word = 0;
        std::memcpy(&word, request.data() + at, 4);
        write(vgpu, REQUEST.offset + at, word);
    }
    write(vgpu, REQUEST_LEN.offset, static_cast<uint32_t>(request.size()));
    // Until the device has connected, a doorbell ends with 3 at once: as an old guest, again.
    run_until(loop, [&] {
        if (read(vgpu, STATUS) == 2) return true;
        if (read(vgpu, STATUS) != 1) write(vgpu, DOORBELL.offset, 1);
        return false;
    });
    EXPECT_EQ(read(vgpu, RESPONSE_LEN), 36U);
    uint32_t sum = 0;
    vgpu.read_bar(0, RESPONSE.offset + 32, {reinterpret_cast<uint8_t*>(&sum), 4});
    EXPECT_EQ(sum, 42U);
    vgpu.detach();
}

}  // namespace
}  // namespace mimic::vgpu_stub

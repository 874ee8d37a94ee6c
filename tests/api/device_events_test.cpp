// SPDX-License-Identifier: Apache-2.0
// What happens to functions, as a reader of the process's socket is told.
#include "host/device_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/gateway_events.h"
#include "gateway/test_hosts.h"
#include "pci/config/pci_regs.h"
#include "pci/testing/fabric.h"
#include "pci/testing/function.h"

namespace mimic::host {
namespace {

using testing::HasSubstr;
using testing::Not;
using T = pci::TestTree;

// An endpoint "test0" with the tests' fabric behind it.
class DeviceEventsTest : public testing::Test {
protected:
    DeviceEventsTest() { events.watch(function, &tree.fabric); }

    void listen() {
        const gateway::EventSource source{"box", folder / "control-0.sock"};
        readers.emplace([source] { return std::vector{source}; }, hub);
        reader = readers->subscribe(std::nullopt, "box");
    }
    // All that is said until something that happens now.
    std::string said() {
        const std::string end = fmt::format("end{};", ++ends_);
        host.reset(end);
        return gateway::read_until(*reader, end);
    }
    static std::string data(const std::string& device, const std::string& members) {
        return R"("machine":"box","device":")" + device + "\"" + members + "}\n";
    }

    gateway::TestFolder folder;
    gateway::TestHost host{folder / "control-0.sock", "box", {}};
    service::EventHub hub{""};
    std::optional<gateway::GatewayEvents> readers;
    std::shared_ptr<service::EventQueue> reader;
    DeviceEvents events{host.process.events};
    pci::FakeSlot upstream;
    pci::TestFunction function;
    pci::TestTree tree;

private:
    int ends_ = 0;
};

TEST_F(DeviceEventsTest, WithoutReadersNothingIsMade) {
    function.attach(upstream);
    function.reset(pci::ResetKind::kFunctionLevel);
    ASSERT_TRUE(tree.fabric.unplug("pf"));
    EXPECT_EQ(host.process.events.counters().published, 0U);
    function.detach();
}

TEST_F(DeviceEventsTest, OfTheEndpoint) {
    listen();
    function.attach(upstream);
    EXPECT_THAT(said(), HasSubstr("event: connected\n"));
    function.reset(pci::ResetKind::kFunctionLevel);
    const auto reset = said();
    EXPECT_THAT(reset, HasSubstr("event: reset\n"));
    EXPECT_THAT(reset, HasSubstr(data("test0", R"(,"kind":"function-level")")));
    function.detach();
    const auto detached = said();
    EXPECT_THAT(detached, HasSubstr("event: disconnected\n"));
    EXPECT_THAT(detached, Not(HasSubstr("detach\"")));
}

TEST_F(DeviceEventsTest, OfWhatIsInTheFabric) {
    listen();
    tree.guest.open_vfs(*tree.pf, T::kPf, 3, T::kVfBar0);
    EXPECT_THAT(said(), HasSubstr(data("pf", R"(,"count":3)")));
    tree.pf->vf(1).reset(pci::ResetKind::kFunctionLevel);
    EXPECT_THAT(said(), HasSubstr(R"("device":"pf-vf1")")) << "VFs that came later";
    ASSERT_TRUE(tree.fabric.unplug("pf"));
    const auto unplugged = said();
    EXPECT_THAT(unplugged, HasSubstr(data("rp0", R"(,"present":false,"link_up":false)")));
    EXPECT_THAT(unplugged, Not(HasSubstr("event: disconnected"))) << "that is said of endpoints";
}

TEST_F(DeviceEventsTest, ErrorsHaveTheNamesOfFaults) {
    listen();
    tree.a->report_error({.correctable = true, .bit = pci::regs::AER_BAD_TLP});
    EXPECT_THAT(said(), HasSubstr(data("a", R"(,"name":"bad-tlp","severity":"correctable")")));
    tree.a->report_error({.bit = pci::regs::AER_MALFORMED_TLP, .fatal = true});
    EXPECT_THAT(said(), HasSubstr(data("a", R"(,"name":"malformed-tlp","severity":"fatal")")));
    EXPECT_EQ(error_name(false, uint64_t{1} << 31), "0x80000000");
}

TEST_F(DeviceEventsTest, FaultsAndSlots) {
    listen();
    using Kind = pci::FunctionEventKind;
    events.on_event(function,
                    {.kind = Kind::kFault, .value = 4, .text = "all-ones", .state = "struck"});
    EXPECT_THAT(said(), HasSubstr(data("test0", R"(,"id":4,"fault":"all-ones","state":"struck")")));
    // What ports say again is no news.
    const pci::FunctionEvent gone{.kind = Kind::kSlot, .present = false, .link_up = false};
    events.on_event(*tree.rp2, gone);
    EXPECT_THAT(said(), HasSubstr("event: slot\n"));
    events.on_event(*tree.rp2, gone);
    EXPECT_THAT(said(), Not(HasSubstr("event: slot\n")));
}

}  // namespace
}  // namespace mimic::host

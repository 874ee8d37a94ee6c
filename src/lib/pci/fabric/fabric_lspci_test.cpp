// SPDX-License-Identifier: Apache-2.0
// Others' eyes on our registers: pciutils decodes the configuration space of a port, a PF and a VF
// without a complaint and finds what is meant to be there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "pci/testing/fabric.h"
#include "pci/testing/lspci.h"

namespace mimic::pci {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using T = TestTree;

class LspciTest : public testing::Test {
protected:
    void SetUp() override {
        lspci_ = find_lspci();
        if (lspci_.empty()) GTEST_SKIP() << "lspci is not installed (tools/setup test)";
    }

    // What lspci makes of the function with routing id `rid`; `ids`: what it has where
    // configuration space says ffff, which the PCI core of a guest replaces too.
    std::string decoded(uint32_t rid, uint32_t ids = 0) {
        std::vector<uint8_t> image(4096);
        for (uint32_t at = 0; at < image.size(); ++at) {
            image[at] = tree.guest.config<uint8_t>(rid, at);
            if (ids != 0 && at < 4) image[at] = static_cast<uint8_t>(ids >> (8 * at));
        }
        return lspci_text(lspci_, image, rid);
    }

    TestTree tree;

private:
    std::string lspci_;
};

MATCHER(HasNoComplaint, "") {
    for (const char* const bad : {"!!!", "<?>", "nknown", "nvalid", "ignored", "chain", "broken",
                                  "Extended Capability ID", "???"}) {
        size_t at = arg.find(bad);
        // A slot without indicators has none to control, and says so in these words.
        while (at != std::string::npos && at >= 5 && arg.compare(at - 5, 4, "Ind ") == 0) {
            at = arg.find(bad, at + 1);
        }
        if (at == std::string::npos) continue;
        *result_listener << "it says \"" << bad << "\"";
        return false;
    }
    return !arg.empty();
}

TEST_F(LspciTest, RootPortWithAHotPlugSlot) {
    const std::string text = decoded(T::kRp0);
    EXPECT_THAT(text, HasNoComplaint());
    EXPECT_THAT(text, AllOf(HasSubstr("0604: 1de5:0100"), HasSubstr("Root Port (Slot+)"),
                            HasSubstr("secondary=01, subordinate=08"),
                            HasSubstr("Memory behind bridge: 80000000-81ffffff"),
                            HasSubstr("Prefetchable memory behind bridge: "
                                      "0000004000000000-000000403fffffff")));
    EXPECT_THAT(text, AllOf(HasSubstr("Slot #1"), HasSubstr("HotPlug+ Surprise+"),
                            HasSubstr("NoCompl+"), HasSubstr("PresDet+"), HasSubstr("DLActive+"),
                            HasSubstr("ARIFwd+"), HasSubstr("LLActRep+")));
    EXPECT_THAT(text, AllOf(HasSubstr("Advanced Error Reporting"), HasSubstr("RootCmd:"),
                            HasSubstr("Access Control Services"), HasSubstr("SrcValid+"),
                            HasSubstr("MSI: Enable- Count=1/1 Maskable- 64bit+")));
}

TEST_F(LspciTest, PortsOfASwitch) {
    const std::string up = decoded(T::kUp);
    EXPECT_THAT(up, HasNoComplaint());
    EXPECT_THAT(up, AllOf(HasSubstr("Upstream Port"), Not(HasSubstr("SltCap"))));
    EXPECT_THAT(up, Not(HasSubstr("RootCmd:")));
    const std::string down = decoded(T::kDown1);
    EXPECT_THAT(down, HasNoComplaint());
    EXPECT_THAT(down, AllOf(HasSubstr("Downstream Port (Slot-)"), HasSubstr("DLActive+"),
                            HasSubstr("Access Control Services")));
}

TEST_F(LspciTest, PfWithVfs) {
    tree.guest.open_vfs(*tree.pf, T::kPf, 3, T::kVfBar0);
    const std::string text = decoded(T::kPf);
    EXPECT_THAT(text, HasNoComplaint());
    EXPECT_THAT(text,
                AllOf(HasSubstr("Single Root I/O Virtualization (SR-IOV)"),
                      HasSubstr("Enable+ Migration- Interrupt- MSE+ ARIHierarchy+"),
                      HasSubstr("Initial VFs: 64, Total VFs: 64, Number of VFs: 3"),
                      HasSubstr("VF offset: 1, stride: 1, Device ID: 0002"),
                      HasSubstr("Supported Page Size: 00000553, System Page Size: 00000001"),
                      HasSubstr("Region 0: Memory at 0000004010000000 (64-bit, prefetchable)")));
    EXPECT_THAT(text, AllOf(HasSubstr("Alternative Routing-ID Interpretation (ARI)"),
                            HasSubstr("MSI-X: Enable- Count=4 Masked-"), HasSubstr("FLReset+")));
}

TEST_F(LspciTest, Vf) {
    tree.guest.open_vfs(*tree.pf, T::kPf, 3, T::kVfBar0);
    const std::string text = decoded(T::kPf + 1, 0x0002'1de5);
    EXPECT_THAT(text, HasNoComplaint());
    EXPECT_THAT(text, AllOf(HasSubstr("1200: 1de5:0002"), HasSubstr("Mem- BusMaster-"),
                            HasSubstr("FLReset+"), HasSubstr("MSI-X: Enable- Count=4"),
                            HasSubstr("Advanced Error Reporting"), Not(HasSubstr("Region "))));
}

}  // namespace
}  // namespace mimic::pci

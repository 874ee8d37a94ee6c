// SPDX-License-Identifier: Apache-2.0
// What a plugin finds that was killed, rebooted, or lost its memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "dra/plugin/files.h"
#include "dra/plugin/preparer.h"
#include "dra/plugin/testing/rig.h"

namespace mimic::dra {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Rig;

// Thrown at a step: nothing runs after it, as after SIGKILL, but for the lock, which the kernel
// would let go.
struct Killed {};

PreparerOptions killed_at(const Rig& rig, Step step, bool vfs_on_demand) {
    auto options = rig.options();
    options.setup.vfs_on_demand = vfs_on_demand;
    options.setup.hook = [step](Step at) {
        if (at == step) throw Killed();
    };
    return options;
}

class KilledTest : public ::testing::TestWithParam<size_t> {
protected:
    Step step() const { return static_cast<Step>(GetParam()); }
    std::vector<std::string> data_files() const {
        std::vector<std::string> out;
        for (const auto& entry : fs::recursive_directory_iterator(rig_.folder_.path() + "/data"))
            if (entry.is_regular_file()) out.push_back(entry.path().filename());
        return out;
    }

    // As it was before anything was prepared.
    void expect_nothing_left() {
        EXPECT_THAT(rig_.cdi_files(), IsEmpty());
        EXPECT_EQ(rig_.preparer_->prepared_claims(), 0U);
        EXPECT_EQ(rig_.status("gpu0"), "0x00000000");
        EXPECT_EQ(rig_.node_.read("gpu1", "sriov_numvfs"), "0");
        EXPECT_THAT(data_files(), ::testing::UnorderedElementsAre(
                                      "checkpoint.json", "checkpoint.journal", "serialize.lock"));
    }

    PreparerOptions on_demand() const {
        auto options = rig_.options();
        options.setup.vfs_on_demand = true;
        return options;
    }

    Rig rig_;
};

TEST_P(KilledTest, HealsAPrepare) {
    const auto ref = rig_.claim(1, {"gpu0", "gpu1-vf2"});
    rig_.restart(killed_at(rig_, step(), true));
    bool killed = false;
    try {
        rig_.prepare(ref);
    } catch (const Killed&) {
        killed = true;
    }
    // Steps of unprepare are none of a prepare that succeeds.
    EXPECT_EQ(killed, step() < Step::kUnprepareBegin);
    rig_.restart(on_demand());
    if (step() >= Step::kPrepareCompleted) {
        EXPECT_EQ(rig_.preparer_->prepared_claims(), 1U);
    } else {
        expect_nothing_left();
    }
    // The kubelet asks again, and ends it one day.
    const auto answer = rig_.prepare(ref);
    EXPECT_EQ(answer.error, "");
    EXPECT_EQ(answer.devices.size(), 2U);
    EXPECT_EQ(rig_.status("gpu0"), "0x00000001");
    EXPECT_EQ(rig_.status("gpu1_vf2"), "0x00000001");
    EXPECT_EQ(rig_.unprepare(ref), "");
    expect_nothing_left();
}

TEST_P(KilledTest, HealsAnUnprepare) {
    const auto ref = rig_.claim(1, {"gpu0", "gpu1-vf2"});
    rig_.restart(on_demand());
    const auto first = rig_.prepare(ref);
    ASSERT_EQ(first.error, "");
    rig_.restart(killed_at(rig_, step(), true));
    bool killed = false;
    try {
        rig_.unprepare(ref);
    } catch (const Killed&) {
        killed = true;
    }
    EXPECT_EQ(killed, step() >= Step::kUnprepareBegin);
    rig_.restart(on_demand());
    // Whoever asks gets a device that works, until the kubelet has heard that it is over.
    if (step() < Step::kUnprepareForgotten && killed) {
        EXPECT_EQ(rig_.prepare(ref).devices, first.devices);
        EXPECT_EQ(rig_.status("gpu1_vf2"), "0x00000001");
    }
    EXPECT_EQ(rig_.unprepare(ref), "");
    expect_nothing_left();
}

INSTANTIATE_TEST_SUITE_P(AtEachStep, KilledTest,
                         ::testing::Range(size_t{0}, static_cast<size_t>(Step::kCount)),
                         [](const auto& tested) {
                             std::string name(kStepNames[tested.param]);
                             std::replace(name.begin(), name.end(), '-', '_');
                             return name;
                         });

TEST(HealTest, DoesAllAgainAfterAReboot) {
    Rig rig;
    auto options = rig.options();
    options.setup.vfs_on_demand = true;
    rig.restart(options);
    const auto ref = rig.claim(1, {"gpu0", "gpu1-vf0"});
    const auto first = rig.prepare(ref);
    ASSERT_EQ(first.error, "");
    // /run is empty, registers are reset, VFs are gone.
    fs::remove_all(rig.folder_.path() + "/cdi");
    fs::create_directory(rig.folder_.path() + "/cdi");
    rig.node_.write("gpu0", "status", "0x00000000");
    rig.node_.write("gpu1", "sriov_numvfs", "0");
    rig.node_.rescan();
    options.boot_id = "boot-2";
    rig.restart(options);
    EXPECT_EQ(rig.status("gpu0"), "0x00000001");
    EXPECT_EQ(rig.status("gpu1_vf0"), "0x00000001");
    EXPECT_EQ(rig.cdi_files().size(), 2U);
    EXPECT_EQ(rig.prepare(ref).devices, first.devices);
    EXPECT_EQ(rig.unprepare(ref), "");
    EXPECT_EQ(rig.node_.read("gpu1", "sriov_numvfs"), "0");
}

TEST(HealTest, StartsAlthoughADeviceDidNotComeBack) {
    Rig rig;
    const auto ref = rig.claim(1, {"gpu0"});
    ASSERT_EQ(rig.prepare(ref).error, "");
    rig.node_.remove("gpu0");
    auto options = rig.options();
    options.boot_id = "boot-2";
    rig.restart(options);
    EXPECT_EQ(rig.preparer_->prepared_claims(), 1U);
    EXPECT_EQ(rig.unprepare(ref), "");
}

TEST(HealTest, MovesAnUnusableCheckpointAsideAndTakesClaimsOver) {
    for (const std::string& text :
         {std::string("garbage"), std::string(), std::string("{}"),
          std::string(R"({"version":2,"checksum":"","data":{}})"),
          std::string(R"({"version":1,"checksum":"0","data":{}})"), std::string(1 << 20, '[')}) {
        Rig rig;
        const auto ref = rig.claim(1, {"gpu0"});
        const auto ended = rig.claim(2, {"gpu1"});
        ASSERT_EQ(rig.prepare(ref).error, "");
        ASSERT_EQ(rig.prepare(ended).error, "");
        const auto path = rig.folder_.path() + "/data/checkpoint.json";
        std::ofstream(path, std::ios::trunc) << text;
        rig.claims_.remove("ns", "c2");
        rig.restart();
        bool aside = false;
        for (const auto& entry : fs::directory_iterator(rig.folder_.path() + "/data"))
            aside = aside || entry.path().string().find(".unusable-") != std::string::npos;
        EXPECT_TRUE(aside);
        EXPECT_EQ(rig.preparer_->prepared_claims(), 0U);
        // The API server knows one of the claims whose files are there.
        EXPECT_EQ(rig.preparer_->remove_stale().value_or(99), 1U);
        EXPECT_EQ(rig.preparer_->prepared_claims(), 1U);
        EXPECT_EQ(rig.cdi_files().size(), 2U);
        const auto rival = rig.claim(3, {"gpu0"});
        EXPECT_THAT(rig.prepare(rival).error, HasSubstr("is prepared for claim ns/c1"));
        EXPECT_EQ(rig.unprepare(ref), "");
        EXPECT_THAT(rig.cdi_files(), IsEmpty());
    }
}

TEST(HealTest, ForgetsClaimsThatAreGone) {
    Rig rig;
    const auto stays = rig.claim(1, {"gpu0"});
    const auto gone = rig.claim(2, {"gpu1"});
    ASSERT_EQ(rig.prepare(stays).error, "");
    ASSERT_EQ(rig.prepare(gone).error, "");
    EXPECT_EQ(rig.preparer_->remove_stale().value_or(99), 0U);
    // No answer is no reason.
    rig.claims_.fail_with(500);
    EXPECT_FALSE(rig.preparer_->remove_stale());
    rig.claims_.fail_with(0);
    EXPECT_EQ(rig.preparer_->prepared_claims(), 2U);
    // Another claim of the same name.
    auto other = gone;
    other.uid = "another";
    rig.claims_.put(testing::allocated_claim(other, {"gpu1"}));
    EXPECT_EQ(rig.preparer_->remove_stale().value_or(99), 1U);
    EXPECT_EQ(rig.status("gpu1"), "0x00000000");
    EXPECT_EQ(rig.status("gpu0"), "0x00000001");
    EXPECT_EQ(rig.cdi_files().size(), 2U);
}

TEST(VfTest, ComeWithTheFirstClaimAndGoWithTheLast) {
    Rig rig;
    const auto first = rig.claim(1, {"gpu1-vf0"});
    const auto second = rig.claim(2, {"gpu1-vf3"});
    EXPECT_THAT(rig.prepare(first).error, HasSubstr("does not exist, and the driver makes none"));
    auto options = rig.options();
    options.setup.vfs_on_demand = true;
    rig.restart(options);
    EXPECT_EQ(rig.prepare(first).error, "");
    EXPECT_EQ(rig.node_.read("gpu1", "sriov_numvfs"), "4");
    EXPECT_EQ(rig.prepare(second).error, "");
    // The PF is the same hardware.
    EXPECT_THAT(rig.prepare(rig.claim(3, {"gpu1"})).error, HasSubstr("cannot be given"));
    EXPECT_THAT(rig.prepare(rig.claim(4, {"gpu1-vf4"})).error, HasSubstr("is not there"));
    EXPECT_THAT(rig.prepare(rig.claim(5, {"gpu0-vf0"})).error, HasSubstr("is not there"));
    EXPECT_EQ(rig.unprepare(first), "");
    EXPECT_EQ(rig.node_.read("gpu1", "sriov_numvfs"), "4");
    EXPECT_EQ(rig.unprepare(second), "");
    EXPECT_EQ(rig.node_.read("gpu1", "sriov_numvfs"), "0");
}

TEST(VfTest, OfSomebodyElseStay) {
    Rig rig;
    rig.node_.write("gpu1", "sriov_numvfs", "2");
    rig.node_.rescan();
    auto options = rig.options();
    options.setup.vfs_on_demand = true;
    rig.restart(options);
    const auto ref = rig.claim(1, {"gpu1-vf1"});
    EXPECT_EQ(rig.prepare(ref).error, "");
    EXPECT_THAT(rig.prepare(rig.claim(2, {"gpu1-vf3"})).error,
                HasSubstr("somebody else enabled 2 VFs"));
    EXPECT_EQ(rig.unprepare(ref), "");
    EXPECT_EQ(rig.node_.read("gpu1", "sriov_numvfs"), "2");
}

TEST(VfTest, ThatDoNotAppearFailTheClaimAndAreUndone) {
    Rig rig;
    auto options = rig.options();
    options.setup.vfs_on_demand = true;
    options.setup.vf_timeout = std::chrono::milliseconds(1);
    rig.restart(options);
    rig.node_.ignore_numvfs(true);
    EXPECT_THAT(rig.prepare(rig.claim(1, {"gpu1-vf0"})).error, HasSubstr("did not appear within"));
    EXPECT_EQ(rig.node_.read("gpu1", "sriov_numvfs"), "0");
    EXPECT_EQ(rig.preparer_->prepared_claims(), 0U);
}

// A folder in place of one that cannot be written: root may write anywhere else.
class FullDiskTest : public ::testing::Test {
protected:
    void break_folder(const std::string& name) {
        fs::rename(path(name), path(name) + ".away");
        std::ofstream(path(name)) << "no folder";
    }
    void mend_folder(const std::string& name) {
        fs::remove(path(name));
        fs::rename(path(name) + ".away", path(name));
    }
    std::string path(const std::string& name) const { return rig_.folder_.path() + "/" + name; }

    Rig rig_;
};

TEST_F(FullDiskTest, NoCdiFileNoDevice) {
    const auto ref = rig_.claim(1, {"gpu0"});
    break_folder("cdi");
    EXPECT_THAT(rig_.prepare(ref).error, HasSubstr("/cdi/"));
    EXPECT_EQ(rig_.status("gpu0"), "0x00000000");
    mend_folder("cdi");
    rig_.restart();
    EXPECT_EQ(rig_.status("gpu0"), "0x00000000");
    EXPECT_EQ(rig_.prepare(ref).error, "");
    break_folder("cdi");
    EXPECT_THAT(rig_.unprepare(ref), HasSubstr("/cdi/"));
    EXPECT_EQ(rig_.status("gpu0"), "0x00000000");
    mend_folder("cdi");
    // Whoever asks in between gets all of it anew.
    EXPECT_EQ(rig_.prepare(ref).error, "");
    EXPECT_EQ(rig_.status("gpu0"), "0x00000001");
    EXPECT_EQ(rig_.unprepare(ref), "");
    EXPECT_THAT(rig_.cdi_files(), IsEmpty());
}

TEST_F(FullDiskTest, NoCheckpointNothingIsDone) {
    const auto ref = rig_.claim(1, {"gpu0"});
    break_folder("data");
    EXPECT_NE(rig_.prepare(ref).error, "");
    EXPECT_EQ(rig_.status("gpu0"), "0x00000000");
    EXPECT_THAT(rig_.cdi_files(), IsEmpty());
    mend_folder("data");
    EXPECT_EQ(rig_.prepare(ref).error, "");
}

TEST_F(FullDiskTest, MetadataThatCannotBeWrittenIsUndone) {
    const auto ref = rig_.claim(1, {"gpu0"});
    fs::create_directory(path("data/dra-device-metadata"));
    std::ofstream(path("data/dra-device-metadata/" + ref.uid)) << "no folder";
    EXPECT_THAT(rig_.prepare(ref).error, HasSubstr("dra-device-metadata"));
    EXPECT_EQ(rig_.status("gpu0"), "0x00000000");
    EXPECT_THAT(rig_.cdi_files(), IsEmpty());
    EXPECT_EQ(rig_.preparer_->prepared_claims(), 0U);
}

}  // namespace
}  // namespace mimic::dra

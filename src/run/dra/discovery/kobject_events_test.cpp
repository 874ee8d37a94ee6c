// SPDX-License-Identifier: Apache-2.0
#include "dra/discovery/kobject_events.h"

#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <fstream>
#include <string>

namespace mimic::dra {
namespace {

using namespace std::string_literals;

TEST(KobjectEvents, MessagesAreParsed) {
    const auto event = parse_kobject_event(
        "add@/devices/x/gpu/gpu0\0ACTION=add\0"
        "DEVPATH=/devices/x/gpu/gpu0\0SUBSYSTEM=gpu\0SEQNUM=1\0"s);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->action, "add");
    EXPECT_EQ(event->path, "/devices/x/gpu/gpu0");
    EXPECT_EQ(event->subsystem, "gpu");
}

TEST(KobjectEvents, OtherMessagesAreNone) {
    EXPECT_FALSE(parse_kobject_event(""));
    EXPECT_FALSE(parse_kobject_event("add@/devices"));
    EXPECT_FALSE(parse_kobject_event("libudev\0\xfe\xed\xca\xfe"s));
    EXPECT_FALSE(parse_kobject_event("\0\0\0"s));
    const auto bare = parse_kobject_event("@\0SUBSYSTEM=\0X"s);
    ASSERT_TRUE(bare);
    EXPECT_EQ(bare->subsystem, "");
}

TEST(KobjectEvents, OnlyTheKernelsGroupOfTheKernelCounts) {
    sockaddr_nl from{};
    from.nl_family = AF_NETLINK;
    from.nl_groups = 1;
    EXPECT_TRUE(is_from_kernel(from));
    from.nl_pid = 1;
    EXPECT_FALSE(is_from_kernel(from));
    from.nl_pid = 0;
    from.nl_groups = 0;
    EXPECT_FALSE(is_from_kernel(from));
    from.nl_groups = 2;
    EXPECT_FALSE(is_from_kernel(from));
}

// The kernel repeats an event of a device on request: of /dev/null, which nobody minds.
bool repeat_event() {
    std::ofstream file("/sys/class/mem/null/uevent");
    file << "change" << std::flush;
    return file.good();
}

TEST(KobjectEvents, TheKernelIsHeard) {
    auto loop = EventLoop::create();
    ASSERT_TRUE(loop);
    unsigned heard = 0;
    auto events = KobjectEvents::create(**loop, [&heard](const KobjectEvent* event) {
        if (event != nullptr && event->subsystem == "mem" && event->action == "change") ++heard;
    });
    if (!events) GTEST_SKIP() << "no netlink here: " << events.error().message();
    if (!repeat_event()) GTEST_SKIP() << "/sys is not ours to write: needs root";
    for (int turn = 0; turn < 100 && heard == 0; ++turn) {
        (*loop)->run_once(std::chrono::milliseconds(100));
    }
    EXPECT_GE(heard, 1u);  // others may ask for one, too
}

// Somebody with a netlink socket of his own pretends to be the kernel.
TEST(KobjectEvents, MessagesOfOthersAreDropped) {
    auto loop = EventLoop::create();
    ASSERT_TRUE(loop);
    unsigned heard = 0;
    auto events = KobjectEvents::create(**loop, [&heard](const KobjectEvent* event) {
        if (event != nullptr && event->subsystem == "gpu") ++heard;
    });
    if (!events) GTEST_SKIP() << "no netlink here: " << events.error().message();
    const UniqueFd liar(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT));
    ASSERT_TRUE(liar);
    sockaddr_nl to{};
    to.nl_family = AF_NETLINK;
    to.nl_pid = (*events)->port();
    const std::string message = "add@/x\0ACTION=add\0SUBSYSTEM=gpu\0"s;
    if (::sendto(liar.get(), message.data(), message.size(), 0,
                 reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0) {
        GTEST_SKIP() << "not allowed to send to a netlink socket: needs root";
    }
    for (int turn = 0; turn < 100 && (*events)->foreign() == 0; ++turn) {
        (*loop)->run_once(std::chrono::milliseconds(100));
    }
    EXPECT_EQ((*events)->foreign(), 1u);
    EXPECT_EQ(heard, 0u);
}

}  // namespace
}  // namespace mimic::dra

// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/sockets.h"

#include <gtest/gtest.h>

namespace mimic::dra {
namespace {

TEST(SocketNamesTest, AreThoseThatTheKubeletWatches) {
    const auto names = socket_names("/var/lib/kubelet", "gpu.example.com", "");
    ASSERT_TRUE(names);
    EXPECT_EQ(names->data_dir, "/var/lib/kubelet/plugins/gpu.example.com");
    EXPECT_EQ(names->service, "/var/lib/kubelet/plugins/gpu.example.com/dra.sock");
    EXPECT_EQ(names->registration, "/var/lib/kubelet/plugins_registry/gpu.example.com-reg.sock");
}

TEST(SocketNamesTest, HoldThePodInARollingUpdate) {
    const std::string uid = "8a6e0804-2bd0-4672-b79d-d97027f9071a";
    auto names = socket_names("/var/lib/kubelet", "g.io", uid);
    ASSERT_TRUE(names);
    EXPECT_EQ(names->service, "/var/lib/kubelet/plugins/g.io/dra-" + uid + ".sock");
    EXPECT_EQ(names->registration, "/var/lib/kubelet/plugins_registry/g.io-" + uid + "-reg.sock");

    // Too long for a socket: a hash of the uid, then one of driver and uid. The values are those of
    // printf '%s' UID | sha256sum and printf '%s\0%s' DRIVER UID | sha256sum, in base64url.
    const std::string driver = "a-rather-long-name.of-a-driver.example.com";
    names = socket_names("/var/lib/kubelet", driver, uid);
    ASSERT_TRUE(names);
    EXPECT_EQ(names->registration,
              "/var/lib/kubelet/plugins_registry/" + driver + "-RvkDre7xUHI-reg.sock");
    const std::string longest = driver + ".and.as-long.as-is-ok";
    names = socket_names("/var/lib/kubelet", longest, uid);
    ASSERT_TRUE(names);
    EXPECT_EQ(names->registration,
              "/var/lib/kubelet/plugins_registry/dra-U0hnjl9-41SnVnUrw1NhgA-reg.sock");
}

TEST(SocketNamesTest, SayWhatIsWrong) {
    EXPECT_FALSE(socket_names("kubelet", "g.io", ""));
    EXPECT_FALSE(socket_names("/var/lib/kubelet", "g.io", "../x"));
    const auto names = socket_names("/" + std::string(120, 'x'), "g.io", "");
    ASSERT_FALSE(names);
    EXPECT_EQ(names.error().code(), std::errc::filename_too_long);
}

TEST(SocketNamesTest, AreEscapedInUris) {
    EXPECT_EQ(unix_uri("/a/b-c.sock"), "unix:/a/b-c.sock");
    EXPECT_EQ(unix_uri("/a b%"), "unix:/a%20b%25");
}

}  // namespace
}  // namespace mimic::dra

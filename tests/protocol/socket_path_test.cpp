// SPDX-License-Identifier: Apache-2.0
// Socket paths that are stale, in use, too long, not writable or no socket.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <gtest/gtest.h>

#include "base/unix_socket.h"
#include "tests/protocol/device_host.h"

namespace mimic::test {
namespace {

class SocketPathTest : public ::testing::Test {
protected:
    SocketPathTest() { (void)::mkdtemp(folder.data()); }
    ~SocketPathTest() override {
        ::unlink(path().c_str());
        ::rmdir(folder.c_str());
    }
    std::string path(const std::string& name = "s") const { return folder + "/" + name; }
    static int error_of(const std::string& path) {
        const auto listener = UnixListener::listen(path);
        return listener ? 0 : listener.error().errno_value();
    }
    std::string folder = "/tmp/mimic-path-XXXXXX";
};

TEST_F(SocketPathTest, FileIsPrivateAndRemovedAtTheEnd) {
    {
        const auto listener = UnixListener::listen(path());
        ASSERT_TRUE(listener);
        struct stat info {};
        ASSERT_EQ(::stat(path().c_str(), &info), 0);
        EXPECT_EQ(info.st_mode & 0777, 0600u);
    }
    EXPECT_NE(::access(path().c_str(), F_OK), 0);
}

TEST_F(SocketPathTest, StaleSocketIsReplaced) {
    UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    dead.reset();
    EXPECT_EQ(error_of(path()), 0);
}

TEST_F(SocketPathTest, SocketInUseIsLeftAloneAndItsClientToo) {
    DeviceHost host;
    auto client = host.client();
    EXPECT_EQ(error_of(host.path()), EADDRINUSE);
    EXPECT_NE(client->get(vfio_user::kRegionConfig, 0), UINT32_MAX);
    client.reset();
    EXPECT_EQ(error_of(host.path()), EADDRINUSE);
    EXPECT_NE(host.client()->get(vfio_user::kRegionConfig, 0), UINT32_MAX);
}

TEST_F(SocketPathTest, FileThatIsNoSocketIsLeftAlone) {
    UniqueFd file(::open(path().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    ASSERT_TRUE(file);
    EXPECT_EQ(error_of(path()), EADDRINUSE);
    EXPECT_EQ(::access(path().c_str(), F_OK), 0);
    EXPECT_EQ(error_of(folder), EADDRINUSE);
}

TEST_F(SocketPathTest, SymbolicLinkIsNotFollowed) {
    const std::string target = path("target");
    ASSERT_EQ(::symlink(target.c_str(), path().c_str()), 0);
    EXPECT_EQ(error_of(path()), EADDRINUSE);
    EXPECT_NE(::access(target.c_str(), F_OK), 0);
}

TEST_F(SocketPathTest, LongestPathIs107Bytes) {
    const std::string longest = path(std::string(107 - folder.size() - 1, 'x'));
    ASSERT_EQ(longest.size(), 107u);
    EXPECT_EQ(error_of(longest), 0);
    EXPECT_EQ(error_of(longest + "x"), ENAMETOOLONG);
    EXPECT_EQ(error_of(std::string(5000, 'x')), ENAMETOOLONG);
    EXPECT_EQ(unix_connect(longest + "x").error().errno_value(), ENAMETOOLONG);
}

TEST_F(SocketPathTest, PathThatCannotBeMadeSaysWhy) {
    EXPECT_EQ(error_of(""), EINVAL);
    EXPECT_EQ(error_of(path("missing/s")), ENOENT);
    EXPECT_NE(error_of("/proc/mimic.sock"), 0);  // nobody may write there
    UniqueFd file(::open(path().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    EXPECT_EQ(error_of(path() + "/s"), ENOTDIR);
    if (::geteuid() != 0) {
        ASSERT_EQ(::chmod(folder.c_str(), 0500), 0);
        EXPECT_EQ(error_of(path("new")), EACCES);
        ASSERT_EQ(::chmod(folder.c_str(), 0700), 0);
    }
}

TEST_F(SocketPathTest, FileReplacedByAnotherServerIsNotRemoved) {
    auto old = UnixListener::listen(path());
    ASSERT_TRUE(old);
    ASSERT_EQ(::unlink(path().c_str()), 0);
    const auto other = UnixListener::listen(path());
    ASSERT_TRUE(other);
    old = UnixListener::listen(path("another"));  // destroys the first
    EXPECT_EQ(::access(path().c_str(), F_OK), 0);
}

}  // namespace
}  // namespace mimic::test

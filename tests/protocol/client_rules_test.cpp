// SPDX-License-Identifier: Apache-2.0
// What each client reads of a reply, above all of one that says "error", by its own rule: a server
// that sends another number of bytes has that client out of step for good, or waiting for ever.
//
//   SPDK            v26.09-pre, 3230130e6a, lib/vfio_user/host/vfio_user.c: vfio_user_read()
//   rust-vmm        vfio_user 0.1.3, 96c82d1, vfio-user/src/lib.rs: Client
//   libvfio-user    efd091b, lib/tran_sock.c: tran_sock_recv_fds(), as samples/client.c calls it
#include <sys/socket.h>

#include <gtest/gtest.h>

#include "tests/protocol/device_host.h"

namespace mimic::test {
namespace {

using namespace vfio_user;

/// Takes exactly what a client would take, and nothing else.
class Reader {
public:
    explicit Reader(const std::string& path) : raw_(path) {}

    bool send(Request request) {
        request.header.id = next_id_++;
        return raw_.send(request);
    }
    // `size` bytes, however many reads they take.
    bool exactly(void* to, size_t size) {
        return size == 0 || ::recv(raw_.fd(), to, size, MSG_WAITALL) == static_cast<ssize_t>(size);
    }
    uint16_t last_id() const { return static_cast<uint16_t>(next_id_ - 1); }
    int fd() const { return raw_.fd(); }

private:
    RawClient raw_;
    uint16_t next_id_ = 0;
};

Request irq_info(uint32_t index) {
    return {Command::kDeviceGetIrqInfo, bytes_of(IrqInfoBody{16, 0, index, 0})};
}

Request region_info(uint32_t index) {
    return {Command::kDeviceGetRegionInfo, bytes_of(RegionInfoBody{32, 0, index, 0, 0, 0})};
}

Request get_info(uint32_t argsz) {
    return {Command::kDeviceGetInfo, bytes_of(DeviceInfoBody{argsz, 0, 0, 0})};
}

struct Refused {
    const char* name;
    Request request;
    size_t fixed_reply;  // bytes behind the header that rust-vmm reads
};

// Each command that these clients send, refused.
std::vector<Refused> refused() {
    const Bytes data(4, 1);
    return {{"REGION_READ", read_request(9, 0, 24), 16 + 24},
            {"REGION_WRITE", write_request(9, 0, data), 16},
            {"DMA_UNMAP", unmap_request(0x7000, 4096), 24},
            {"DMA_MAP", map_request(0, 0), 0},
            {"IRQ_INFO", irq_info(7), 16},
            {"REGION_INFO", region_info(70), 32},
            {"GET_INFO", get_info(1), 16},
            {"SET_IRQS", irqs_request(0, 0, 0, 0), 0}};
}

// --- SPDK ------------------------------------------------------------------------------------

// VERSION 0.1 and no JSON. Reads a header; the rest, in one read, only if the error flag is clear.
class Spdk : public Reader {
public:
    using Reader::Reader;

    /// The payload, or nothing for an error, whose number goes to `error`.
    std::optional<Bytes> call(const Request& request, int& error) {
        Header header{};
        error = ECONNRESET;
        if (!send(request) || !exactly(&header, sizeof header)) return std::nullopt;
        error = EPROTO;  // what it asserts
        if ((header.flags & kFlagTypeMask) != kFlagTypeReply) return std::nullopt;
        error = static_cast<int>(header.error);
        if ((header.flags & kFlagError) != 0) return std::nullopt;
        Bytes payload(header.size - sizeof header);
        if (!payload.empty() &&
            ::recv(fd(), payload.data(), payload.size(), 0) != static_cast<ssize_t>(payload.size()))
            error = EPROTO;
        return payload;
    }
};

TEST(ClientRules, SpdkStaysInStepAfterEachRefusedCommand) {
    DeviceHost host;
    Spdk spdk(host.path());
    int error = 0;
    ASSERT_TRUE(spdk.call({Command::kVersion, bytes_of(VersionBody{0, 1})}, error));
    ASSERT_TRUE(spdk.call(get_info(16), error));
    for (const Refused& one : refused()) {
        SCOPED_TRACE(one.name);
        EXPECT_FALSE(spdk.call(one.request, error));
        EXPECT_EQ(error, one.request.header.command == static_cast<uint16_t>(Command::kDmaUnmap)
                             ? ENOENT
                             : EINVAL);
        const auto vendor = spdk.call(read_request(kRegionConfig, 0, 2), error);
        ASSERT_TRUE(vendor);
        ASSERT_EQ(vendor->size(), 18u);
        EXPECT_EQ((*vendor)[16] | (*vendor)[17] << 8, 0x1de5);
    }
}

// It asks with room for 4064 bytes and sends as many; DMA_UNMAP carries the descriptor again.
TEST(ClientRules, SpdkSetsADeviceUp) {
    DeviceHost host;
    Spdk spdk(host.path());
    int error = 0;
    ASSERT_TRUE(spdk.call({Command::kVersion, bytes_of(VersionBody{0, 1})}, error));
    for (uint32_t index = 0; index < kRegionCount; ++index) {
        Request ask(Command::kDeviceGetRegionInfo,
                    bytes_of(RegionInfoBody{4064, 0, index, 0, 0, 0}) + Bytes(4064 - 32));
        EXPECT_TRUE(spdk.call(ask, error)) << index << ": " << error;
    }
    const UniqueFd memory = make_memfd(0x4000);
    ASSERT_TRUE(spdk.call(map_request(0x10000, 0x4000, memory.get()), error));
    Request unmap = unmap_request(0x10000, 0x4000);
    unmap.fds = {memory.get()};
    EXPECT_TRUE(spdk.call(unmap, error));
}

// --- rust-vmm --------------------------------------------------------------------------------

// Looks at neither flags nor size: reads the reply that the command has when it succeeds.
class Rust : public Reader {
public:
    using Reader::Reader;

    bool negotiate() {
        if (!send(version_request(1, R"({"capabilities":{"max_msg_fds":1,)"
                                     R"("max_data_xfer_size":1048576,)"
                                     R"("migration":{"pgsize":4096}}})")))
            return false;
        std::array<uint8_t, 20> version{};
        if (!exactly(version.data(), version.size())) return false;
        uint32_t size = 0;
        std::memcpy(&size, version.data() + 4, sizeof size);
        Bytes json(size - version.size());
        return exactly(json.data(), json.size());
    }

    /// False if less came within the deadline; `id` is that of the header.
    bool call(const Request& request, size_t reply, Bytes& payload, uint16_t& id) {
        Bytes bytes(sizeof(Header) + reply);
        if (!send(request) || !exactly(bytes.data(), bytes.size())) return false;
        std::memcpy(&id, bytes.data(), sizeof id);
        payload.assign(bytes.begin() + sizeof(Header), bytes.end());
        return true;
    }
};

TEST(ClientRules, RustVmmStaysInStepAfterEachRefusedCommand) {
    DeviceHost host;
    Rust rust(host.path());
    ASSERT_TRUE(rust.negotiate());
    for (const Refused& one : refused()) {
        SCOPED_TRACE(one.name);
        Bytes payload;
        uint16_t id = 0;
        ASSERT_TRUE(rust.call(one.request, one.fixed_reply, payload, id));
        EXPECT_EQ(id, rust.last_id());
        EXPECT_EQ(payload, Bytes(one.fixed_reply, 0xff));  // as of a device that is not there
        ASSERT_TRUE(rust.call(read_request(kRegionConfig, 0, 2), 18, payload, id));
        EXPECT_EQ(id, rust.last_id());
        EXPECT_EQ(payload[16] | payload[17] << 8, 0x1de5);
    }
}

// --- libvfio-user ----------------------------------------------------------------------------

// Of each version: 0.1 until 2023 with 32 descriptors and a page size, 0.2 since. The error flag
// ends the reading, as with SPDK.
TEST(ClientRules, LibvfioUserStaysInStepAfterEachRefusedCommand) {
    for (const auto& [minor, json] :
         {std::pair<uint16_t, std::string_view>{
              1, R"({"capabilities":{"max_msg_fds":32,"max_data_xfer_size":1048576,)"
                 R"("migration":{"pgsize":4096}}})"},
          {2, R"({"capabilities":{"max_msg_fds":32,"max_data_xfer_size":1048576}})"}}) {
        DeviceHost host;
        Spdk client(host.path());
        int error = 0;
        ASSERT_TRUE(client.call(version_request(minor, json), error));
        for (const Refused& one : refused()) {
            SCOPED_TRACE(one.name);
            EXPECT_FALSE(client.call(one.request, error));
            const auto vendor = client.call(read_request(kRegionConfig, 0, 2), error);
            ASSERT_TRUE(vendor);
            ASSERT_EQ(vendor->size(), 18u);
        }
    }
}

}  // namespace
}  // namespace mimic::test

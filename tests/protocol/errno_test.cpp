// SPDX-License-Identifier: Apache-2.0
// The errno of each refusal, beside that of libvfio-user efd091b (2026-06-25), as its lib/ says:
// libvfio-user.c (is_valid_header, handle_*, is_valid_unmap), irq.c (device_set_irqs_validate),
// dma.c (dma_controller_add_region), tran.c (recv_version); and as its library answered each row,
// built and given a device with these regions, interrupts and DMA, on 2026-11-28. A row where the
// two differ has a reason, which stands in the code too.
#include <fcntl.h>

#include <gtest/gtest.h>

#include "tests/protocol/device_host.h"

namespace mimic::test {
namespace {

using namespace vfio_user;

constexpr uint32_t kSetEvent = kIrqDataEventfd | kIrqActionTrigger;
constexpr uint32_t kFire = kIrqDataNone | kIrqActionTrigger;

struct Row {
    const char* what;
    Request request;
    int libvfio_user;
    int ours;
    const char* reason;  // why they differ; nullptr: they do not
};

Row same(const char* what, Request request, int error = EINVAL) {
    return {what, std::move(request), error, error, nullptr};
}

Request command(uint16_t number, size_t payload) {
    Request request(Command::kVersion, Bytes(payload));
    request.header.command = number;
    return request;
}

template <typename... Fields>
Request fields(Command number, const Fields&... values) {
    return {number, bytes_of(values...)};
}

std::vector<Row> unknown_commands() {
    return {same("command 0", command(0, 4)),
            same("command 19, VFIO_USER_MAX", command(19, 1)),
            same("command 65535", command(0xffff, 100)),
            same("DMA_READ from the client", command(11, 16)),
            same("DMA_WRITE from the client", command(12, 24)),
            same("DIRTY_PAGES of old drafts", command(14, 16)),
            same("MIG_DATA_READ without migration", command(17, 8)),
            same("MIG_DATA_WRITE without migration", command(18, 8)),
            same("a second VERSION", version_request()),
            same("a command without payload", command(9, 0))};
}

// `file` has 16 KiB; [0x1000, 0x2000) is mapped from its start.
std::vector<Row> dma(int file, int device) {
    const auto map = [&](uint32_t argsz, uint32_t flags, uint64_t iova, uint64_t size,
                         std::vector<int> fds) {
        Request request = fields(Command::kDmaMap, DmaMapBody{argsz, flags, 0, iova, size});
        request.fds = std::move(fds);
        return request;
    };
    const auto unmap = [](uint32_t argsz, uint32_t flags, uint64_t iova, uint64_t size) {
        return fields(Command::kDmaUnmap, DmaUnmapBody{argsz, flags, iova, size});
    };
    return {
        same("MAP argsz 31", map(31, 3, 0x8000, 0x1000, {file})),
        same("MAP flag 0x10", map(32, 0x13, 0x8000, 0x1000, {file})),
        same("MAP for mmap without descriptor", map(32, 7, 0x8000, 0x1000, {})),
        same("MAP for pread without descriptor", map(32, 0xb, 0x8000, 0x1000, {})),
        same("MAP for mmap and pread", map(32, 0xf, 0x8000, 0x1000, {file})),
        same("MAP of nothing", map(32, 3, 0x8000, 0, {file})),
        {"MAP with two descriptors", map(32, 3, 0x8000, 0x1000, {file, file}), 0, EINVAL,
         "nothing says which one is the memory"},
        {"MAP over another region", map(32, 3, 0x1800, 0x1000, {file}), EINVAL, EEXIST,
         "vfio-user.rst, VFIO_USER_DMA_MAP, wants EEXIST"},
        {"MAP of the same region again", map(32, 3, 0x1000, 0x1000, {file}), 0, EEXIST,
         "vfio-user.rst, as above; and one UNMAP would undo both"},
        {"MAP beyond the file", map(32, 3, 0x20000, 0x8000, {file}), 0, EINVAL,
         "the first access would raise SIGBUS"},
        {"MAP of /dev/zero", map(32, 3, 0x40000, 0x1000, {device}), 0, ENODEV,
         "a driver's memory is billed to us and has no end to check"},
        same("UNMAP argsz 23", unmap(23, 0, 0x1000, 0x1000)),
        same("UNMAP argsz 1 MiB + 8", unmap((1 << 20) + 8, 0, 0x1000, 0x1000)),
        same("UNMAP argsz 4 GiB - 1", unmap(UINT32_MAX, 0, 0x1000, 0x1000)),
        same("UNMAP flag 4", unmap(24, 4, 0x1000, 0x1000)),
        same("UNMAP with dirty bitmap, not tracking", unmap(24, 1, 0x1000, 0x1000)),
        same("UNMAP of all with dirty bitmap", unmap(24, 3, 0, 0)),
        same("UNMAP of all with an address", unmap(24, 2, 0x1000, 0)),
        same("UNMAP of all with a size", unmap(24, 2, 0, 0x1000)),
        same("UNMAP of no region", unmap(24, 0, 0x9000, 0x1000), ENOENT),
        same("UNMAP of another size", unmap(24, 0, 0x1000, 0x800), ENOENT),
    };
}

std::vector<Row> information() {
    const auto io_fds = [](uint32_t argsz, uint32_t flags, uint32_t index, uint32_t count) {
        return fields(Command::kDeviceGetRegionIoFds, RegionIoFdsBody{argsz, flags, index, count});
    };
    return {
        same("GET_INFO short", command(4, 8)),
        same("GET_INFO argsz 8", fields(Command::kDeviceGetInfo, DeviceInfoBody{8, 0, 0, 0})),
        same("REGION_INFO argsz 8",
             fields(Command::kDeviceGetRegionInfo, RegionInfoBody{8, 0, 1, 0, 0, 0})),
        same("REGION_INFO of region 9",
             fields(Command::kDeviceGetRegionInfo, RegionInfoBody{32, 0, 9, 0, 0, 0})),
        same("IRQ_INFO argsz 8", fields(Command::kDeviceGetIrqInfo, IrqInfoBody{8, 0, 4, 0})),
        same("IRQ_INFO of index 5", fields(Command::kDeviceGetIrqInfo, IrqInfoBody{16, 0, 5, 0})),
        same("IO_FDS argsz 15", io_fds(15, 0, 0, 0)),
        same("IO_FDS argsz 1 MiB + 1", io_fds((1 << 20) + 1, 0, 0, 0)),
        same("IO_FDS flags 1", io_fds(512, 1, 0, 0)),
        same("IO_FDS count 1", io_fds(512, 0, 0, 1)),
        same("IO_FDS of region 9", io_fds(512, 0, 9, 0)),
        same("IO_FDS of a region that is not there", io_fds(512, 0, 5, 0)),
        same("IO_FDS of a region without any", io_fds(512, 0, 0, 0), 0),
        {"FEATURE migration, where there is none",
         fields(Command::kDeviceFeature, DeviceFeatureBody{16, 1 | kFeatureGet}), EINVAL, ENOTTY,
         "QEMU's hw/vfio/migration.c takes ENOTTY for \"not supported\", all else for a failure"},
        {"FEATURE 65535",
         fields(Command::kDeviceFeature, DeviceFeatureBody{8, 0xffff | kFeatureSet}), EINVAL,
         ENOTTY, "as above"},
        same("FEATURE without operation", fields(Command::kDeviceFeature, DeviceFeatureBody{8, 1})),
        same("FEATURE too short", command(16, 7)),
    };
}

std::vector<Row> interrupts(int event, int file) {
    const auto set = [](uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
                        std::vector<int> fds = {}, Bytes data = {}) {
        return irqs_request(flags, index, start, count, std::move(fds), std::move(data));
    };
    Request short_argsz = set(kFire, kIrqReq, 0, 0);
    short_argsz.payload[0] = 3;
    const uint32_t mask = kIrqDataNone | kIrqActionMask;
    return {
        same("SET_IRQS short", command(8, 8)),
        same("SET_IRQS argsz 3", std::move(short_argsz)),
        same("SET_IRQS of index 5", set(kFire, kIrqCount, 0, 0)),
        same("two actions", set(mask | kIrqActionUnmask, kIrqMsix, 0, 0)),
        same("two kinds of data", set(mask | kIrqDataBool, kIrqMsix, 0, 0)),
        same("no kind of data", set(kIrqActionTrigger, kIrqMsix, 0, 1)),
        same("a range over the end", set(kFire, kIrqMsix, kToyMsixVectors - 1, 2)),
        same("a range behind the end", set(kFire, kIrqMsix, kToyMsixVectors, 0)),
        same("a range that overflows", set(kSetEvent, kIrqMsix, 4, UINT32_MAX)),
        same("masking ERR", set(mask, kIrqErr, 0, 1)),
        same("masking REQ", set(mask, kIrqReq, 0, 1)),
        same("two of ERR", set(kFire, kIrqErr, 0, 2)),
        same("count 0 with start 1", set(kFire, kIrqMsix, 1, 0)),
        same("count 0 and MASK", set(mask, kIrqMsix, 0, 0)),
        same("count 0 and BOOL", set(kIrqDataBool | kIrqActionTrigger, kIrqMsix, 0, 0)),
        same("count 0 and EVENTFD", set(kSetEvent, kIrqMsix, 0, 0)),
        same("BOOL with a descriptor",
             set(kIrqDataBool | kIrqActionTrigger, kIrqMsix, 0, 1, {event}, Bytes(1))),
        same("NONE with a descriptor", set(kFire, kIrqMsix, 0, 1, {event})),
        same("EVENTFD with fewer than count", set(kSetEvent, kIrqMsix, 0, 2, {event})),
        same("EVENTFD with more than count", set(kSetEvent, kIrqMsix, 0, 1, {event, event})),
        same("EVENTFD with none detaches", set(kSetEvent, kIrqMsix, 0, 2), 0),
        same("EVENTFD with count", set(kSetEvent, kIrqMsix, 0, 2, {event, event}), 0),
        same("too few booleans",
             set(kIrqDataBool | kIrqActionTrigger, kIrqMsix, 0, 2, {}, Bytes(1))),
        same("too many booleans",
             set(kIrqDataBool | kIrqActionTrigger, kIrqMsix, 0, 2, {}, Bytes(3))),
        same("count 0 disables", set(kFire, kIrqReq, 0, 0), 0),
        {"masking MSI-X", set(mask, kIrqMsix, 0, 1), 0, EINVAL,
         "IRQ_INFO of both says that it cannot be masked"},
        {"a descriptor that is no eventfd", set(kSetEvent, kIrqMsix, 0, 1, {file}), 0, EINVAL,
         "8 bytes would be written into the peer's file at each interrupt"},
    };
}

std::vector<Row> regions() {
    const auto write = [](uint32_t region, uint64_t offset, uint32_t count, size_t carried) {
        Request request(Command::kRegionWrite, bytes_of(RegionAccessBody{offset, region, count}));
        request.payload.resize(request.payload.size() + carried);
        request.header.size += static_cast<uint32_t>(carried);
        return request;
    };
    return {
        same("READ short", command(9, 15)),
        same("READ of 1 MiB + 1", read_request(2, 0, (1 << 20) + 1)),
        same("READ of region 9", read_request(9, 0, 4)),
        same("READ over the end", read_request(0, kBar0Size - 3, 4)),
        same("READ at the end of the address space", read_request(0, UINT64_MAX, 4)),
        same("READ of nothing", read_request(0, 0, 0), 0),
        same("READ of nothing, of region 9", read_request(9, 0, 0)),
        same("READ of nothing, behind the end", read_request(0, kBar0Size + 1, 0)),
        same("WRITE with too little", write(0, 0, 4, 3)),
        same("WRITE with too much", write(0, 0, 4, 5)),
        same("WRITE over the end", write(kRegionConfig, 4095, 2, 2)),
        same("WRITE of nothing", write(0, 0, 0, 0), 0),
        same("WRITE of the ROM", write(kRegionRom, 0, 4, 4)),  // there: without a callback
        {"WRITE_MULTI of nothing", fields(Command::kRegionWriteMulti, uint64_t{0}), EINVAL, 0,
         "libvfio-user does not know the command"},
        same("RESET", Request(Command::kDeviceReset, {}), 0),
    };
}

void expect_errnos(DeviceHost& host, const std::vector<Row>& rows, int memory = -1) {
    auto client = host.client();
    ASSERT_EQ(client->dma_map(0x1000, 0x1000, memory), 0);
    for (const Row& row : rows) {
        SCOPED_TRACE(row.what);
        EXPECT_EQ(client->status(row.request), row.ours);
        EXPECT_EQ(row.reason != nullptr, row.ours != row.libvfio_user);
    }
    EXPECT_EQ(client->dma_unmap(0x1000, 0x1000), 0);  // nothing of all that has removed it
}

TEST(Errno, OfUnknownCommands) {
    DeviceHost host;
    expect_errnos(host, unknown_commands());
}

TEST(Errno, OfDma) {
    DeviceHost host;
    const UniqueFd file = make_memfd(0x4000);
    const UniqueFd zero(::open("/dev/zero", O_RDWR | O_CLOEXEC));
    expect_errnos(host, dma(file.get(), zero.get()), file.get());
}

TEST(Errno, OfInformation) {
    DeviceHost host;
    expect_errnos(host, information());
}

TEST(Errno, OfInterrupts) {
    DeviceHost host;
    const UniqueFd event = make_eventfd();
    const UniqueFd file = make_memfd(0x1000);
    expect_errnos(host, interrupts(event.get(), file.get()));
}

TEST(Errno, OfRegions) {
    DeviceHost host;
    expect_errnos(host, regions());
}

// Each ends the attempt to connect, in both.
TEST(Errno, OfVersion) {
    DeviceHost host;
    Request bare = version_request();
    bare.payload.clear();
    bare.header.size = sizeof(Header);
    std::vector<Row> rows = {
        same("another command first", command(999, 5)),
        same("no payload", bare),
        same("major 999", version_request(1, "", 999)),
        same("JSON cut short", version_request(1, "{")),
        same("a quote", version_request(1, "\"")),
        same("capabilities of a string", version_request(1, R"({"capabilities":"23"})")),
    };
    for (const char* bad :
         {R"("max_msg_fds":"foo")", R"("max_msg_fds":-1)", R"("max_msg_fds":1025)",
          R"("max_msg_fds":65537)", R"("migration":"23")", R"("migration":{"pgsize":"foo"})",
          R"("twin_socket":1)"})
        rows.push_back(
            same(bad, version_request(1, fmt::format("{{\"capabilities\":{{{}}}}}", bad))));
    rows.push_back({"a page of 4095 bytes",
                    version_request(1, R"({"capabilities":{"migration":{"pgsize":4095}}})"), 0,
                    EINVAL,
                    "libvfio-user looks at it when its device can migrate, and refuses it"});
    rows.push_back({"an array", version_request(1, "[]"), 0, EINVAL, "not the protocol's form"});
    rows.push_back({"two documents", version_request(1, "{}{}"), 0, EINVAL, "as above"});
    rows.push_back({"max_data_xfer_size 0",
                    version_request(1, R"({"capabilities":{"max_data_xfer_size":0}})"), 0, EINVAL,
                    "DMA by messages would not come to an end"});
    for (const Row& row : rows) {
        SCOPED_TRACE(row.what);
        Client client(host.path());
        EXPECT_EQ(client.status(row.request), row.ours);
        EXPECT_EQ(row.reason != nullptr, row.ours != row.libvfio_user);
        EXPECT_TRUE(client.raw().closed_by_peer());
        ASSERT_TRUE(host.wait_idle());
    }
    Client most(host.path());
    EXPECT_EQ(most.negotiate(1, R"({"capabilities":{"max_msg_fds":1024}})"), 0);
}

}  // namespace
}  // namespace mimic::test

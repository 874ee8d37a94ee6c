// SPDX-License-Identifier: Apache-2.0
// Peers that do not behave: what they get, and that nobody else notices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/stat.h>

#include "base/unix_socket.h"
#include "tests/protocol/mediator_rig.h"

namespace mimic::mediator {
namespace {

using namespace std::chrono_literals;

constexpr VmId kVm = 5;
constexpr VmId kGood = 6;

Config two_vms() {
    Config config = rig_config();
    config.others->limits.queue_depth = 64;
    config.quarantine.faults = 0;
    for (const VmId id : {kVm, kGood}) {
        VmConfig vm;
        vm.id = id;
        config.vms.push_back(vm);
    }
    return config;
}

template <typename T>
std::vector<std::byte> bytes_with(const T& header, std::span<const std::byte> payload) {
    const auto head = wire::bytes_of(header);
    std::vector<std::byte> bytes(head.begin(), head.end());
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    return bytes;
}

// A VM that behaves is served while the others do what they do.
void expect_served(MediatorRig& rig) {
    RawPeer peer(rig.framed());
    ASSERT_TRUE(greet(peer, kGood, hello_of()));
    ASSERT_TRUE(peer.send(request_frame(1, rig_job(10))));
    const auto answer = receive_frame(peer);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->head.status, VGPU_OK);
}

// Every field of the original's packet wrong in turn: an error in the public form, then the end.
TEST(MediatorHostilePacket, EachWrongFieldIsAnsweredAndEnds) {
    MediatorRig rig(two_vms());
    const auto nop = compute::make_request(VGPU_OP_NOP);
    const wire::Packet right{kVm, 9, static_cast<uint32_t>(nop.size()), 'A', 1, {}};
    struct Case {
        const char* what;
        wire::Packet packet;
        vgpu_error error;
    };
    std::vector<Case> cases;
    const auto add = [&](const char* what, vgpu_error error, auto change) {
        Case made{what, right, error};
        change(made.packet);
        cases.push_back(made);
    };
    add("vm_id", VGPU_ERROR_DENIED, [](auto& p) { p.vm_id = kGood; });
    add("length 0", VGPU_ERROR_INVALID_LENGTH, [](auto& p) { p.length = 0; });
    add("length 1025", VGPU_ERROR_INVALID_LENGTH, [](auto& p) { p.length = 1025; });
    add("length 2^32-1", VGPU_ERROR_INVALID_LENGTH, [](auto& p) { p.length = UINT32_MAX; });
    add("pool", VGPU_ERROR_INVALID_REQUEST, [](auto& p) { p.pool_id = 0; });
    add("pool a", VGPU_ERROR_INVALID_REQUEST, [](auto& p) { p.pool_id = 'a'; });
    add("priority", VGPU_ERROR_INVALID_REQUEST, [](auto& p) { p.priority = 3; });
    for (const Case& wrong : cases) {
        SCOPED_TRACE(wrong.what);
        RawPeer peer(rig.of_vm(kVm));
        ASSERT_TRUE(peer.send(bytes_with(wrong.packet, nop)));
        const auto got = receive_packet(peer);
        ASSERT_TRUE(got);
        EXPECT_EQ(got->head.request_id, 9U);
        EXPECT_EQ(got->response.status, static_cast<uint32_t>(wrong.error));
        EXPECT_TRUE(peer.is_ended());
    }
    EXPECT_EQ(rig.counters().malformed, 6U);
    EXPECT_GE(rig.vm(kVm).counters.faults, 3U);  // those that can be told to be its own
    EXPECT_EQ(rig.vm(kGood).counters.faults, 0U);
    expect_served(rig);
}

// 1 and 1024 bytes are whole requests, whatever is in them.
TEST(MediatorHostilePacket, ShortestAndLongestAreAnswered) {
    MediatorRig rig(two_vms());
    RawPeer peer(rig.of_vm(kVm));
    ASSERT_TRUE(peer.send(packet_of(kVm, 1, std::vector<std::byte>(1))));
    EXPECT_EQ(receive_packet(peer)->response.status, VGPU_ERROR_INVALID_REQUEST);
    ASSERT_TRUE(peer.send(packet_of(kVm, 2, std::vector<std::byte>(1024, std::byte{0xff}))));
    EXPECT_EQ(receive_packet(peer)->response.status, VGPU_ERROR_INVALID_REQUEST);
    ASSERT_TRUE(peer.send(packet_of(kVm, 3, compute::make_request(VGPU_OP_NOP))));
    EXPECT_EQ(receive_packet(peer)->response.status, VGPU_OK);
}

// Every field of a request wrong in turn: it is the backend's to say so, never a fault of the
// connection.
TEST(MediatorHostileRequest, EachWrongFieldIsAnswered) {
    MediatorRig rig(two_vms());
    RawPeer peer(rig.framed());
    ASSERT_TRUE(greet(peer, kVm, hello_of()));
    const auto right = rig_job(10);
    uint64_t id = 0;
    for (size_t word = 0; word < sizeof(vgpu_request) / 4; ++word) {
        for (const uint32_t value : {0U, 1U, 0x7fffffffU, UINT32_MAX}) {
            auto wrong = right;
            std::memcpy(wrong.data() + word * 4, &value, 4);
            ASSERT_TRUE(peer.send(request_frame(++id, wrong)));
            const auto answer = receive_frame(peer);
            ASSERT_TRUE(answer) << "word " << word << " value " << value;
            EXPECT_EQ(answer->head.request_id, id);
        }
    }
    EXPECT_EQ(rig.counters().malformed, 0U);
    EXPECT_EQ(rig.vm(kVm).counters.faults, 0U);
}

template <typename Header>
Header request_header(size_t payload) {
    Header header{};
    header.magic = wire::kMagic;
    header.type = static_cast<uint32_t>(wire::Type::kRequest);
    header.vm_id = kVm;
    header.pool_id = 'A';
    header.priority = 1;
    header.payload_length = static_cast<decltype(header.payload_length)>(payload);
    return header;
}

template <typename Header>
class MediatorHostileLegacy : public testing::Test {};
using Legacies = testing::Types<wire::HeaderV1, wire::HeaderV2>;
TYPED_TEST_SUITE(MediatorHostileLegacy, Legacies);

// The public mediator closes without a word.
TYPED_TEST(MediatorHostileLegacy, EachWrongFieldEndsTheConnection) {
    MediatorRig rig(two_vms());
    const auto nop = compute::make_request(VGPU_OP_NOP);
    const auto right = request_header<TypeParam>(nop.size());
    std::vector<std::pair<const char*, TypeParam>> cases;
    const auto add = [&](const char* what, auto change) {
        cases.emplace_back(what, right);
        change(cases.back().second);
    };
    add("magic", [](auto& h) { h.magic ^= 0x01000000; });
    for (const uint32_t type : {0U, 2U, 4U, 5U, 6U, 7U, 0x10U, 0x11U, 0x12U, 0x41U, UINT32_MAX})
        add("type", [&](auto& h) { h.type = type; });
    add("pool", [](auto& h) { h.pool_id = '@'; });
    add("priority", [](auto& h) { h.priority = 200; });
    add("length 1025", [](auto& h) { h.payload_length = 1025; });
    for (const auto& [what, header] : cases) {
        SCOPED_TRACE(testing::Message() << what << " " << header.type);
        RawPeer peer(rig.framed());
        peer.send(bytes_with(header, nop));
        EXPECT_TRUE(peer.is_ended());
    }
    EXPECT_EQ(rig.counters().malformed, cases.size());
    expect_served(rig);
}

TYPED_TEST(MediatorHostileLegacy, SecondRequestOfAConnectionIsNotTaken) {
    MediatorRig rig(two_vms());
    RawPeer peer(rig.framed());
    const auto nop = compute::make_request(VGPU_OP_NOP);
    auto bytes = bytes_with(request_header<TypeParam>(nop.size()), nop);
    const auto one = bytes;
    bytes.insert(bytes.end(), one.begin(), one.end());
    ASSERT_TRUE(peer.send(bytes));
    ASSERT_TRUE(peer.receive(sizeof(TypeParam) + sizeof(vgpu_response)));
    EXPECT_TRUE(peer.is_ended());
    EXPECT_EQ(rig.counters().requests, 1U);
}

TEST(MediatorHostileFrames, EachWrongFieldOfAHelloIsAnsweredOrEnds) {
    MediatorRig rig(two_vms());
    const auto status_of = [&](auto change) {
        RawPeer peer(rig.framed());
        wire::HeaderV2 header = hello_header(kVm);
        wire::Hello hello = wire::Hello(hello_of());
        change(header, hello);
        peer.send_value(header);
        peer.send_value(hello);
        uint32_t status = UINT32_MAX;
        if (peer.receive_value<wire::HeaderV2>()) {
            status = peer.receive_value<wire::Hello>()->status;
            if (status == VGPU_OK) return status;
        }
        EXPECT_TRUE(peer.is_ended());
        return status;
    };
    EXPECT_EQ(status_of([](auto&, auto&) {}), VGPU_OK);
    EXPECT_EQ(status_of([](auto&, auto& h) { h.version = 2; }), VGPU_ERROR_UNSUPPORTED);
    EXPECT_EQ(status_of([](auto&, auto& h) { h.version = 0; }), VGPU_ERROR_UNSUPPORTED);
    EXPECT_EQ(status_of([](auto&, auto& h) { h.version = UINT32_MAX; }), VGPU_OK);
    EXPECT_EQ(status_of([](auto&, auto& h) { h.capabilities = UINT32_MAX; }), VGPU_OK);
    EXPECT_EQ(status_of([](auto&, auto& h) { h.max_payload = 0; }), VGPU_ERROR_INVALID_LENGTH);
    EXPECT_EQ(status_of([](auto&, auto& h) { h.max_payload = UINT32_MAX; }), VGPU_OK);
    EXPECT_EQ(status_of([](auto&, auto& h) { h.shared_bytes = UINT32_MAX; }), VGPU_OK);
    EXPECT_EQ(status_of([](auto&, auto& h) { h.session = UINT64_MAX; }), VGPU_OK);
    EXPECT_EQ(status_of([](auto&, auto& h) { h.status = 7; }), VGPU_OK);
    EXPECT_EQ(status_of([](auto& h, auto&) { h.payload_length = 39; }), UINT32_MAX);
    EXPECT_EQ(status_of([](auto& h, auto&) { h.payload_length = 41; }), UINT32_MAX);
    EXPECT_EQ(status_of([](auto& h, auto&) { h.pool_id = ' '; }), UINT32_MAX);
    EXPECT_EQ(status_of([](auto& h, auto&) { h.priority = 9; }), UINT32_MAX);
    EXPECT_EQ(status_of([](auto& h, auto&) { h.magic = 0; }), UINT32_MAX);
    expect_served(rig);
}

TEST(MediatorHostileFrames, EachWrongFieldOfAFrameEndsAndIsAFault) {
    constexpr uint32_t kShared = 64 << 10;
    MediatorRig rig(two_vms());
    const auto nop = compute::make_request(VGPU_OP_NOP);
    wire::Frame right{};
    std::memcpy(&right, request_frame(1, nop).data(), sizeof right);
    std::vector<std::pair<const char*, wire::Frame>> cases;
    const auto add = [&](const char* what, auto change) {
        cases.emplace_back(what, right);
        change(cases.back().second);
    };
    const auto shared = [&](const char* what, uint32_t offset, uint32_t length) {
        add(what, [&](auto& f) {
            f.flags = wire::kFlagShared;
            f.data_offset = offset;
            f.data_length = length;
        });
    };
    const auto room = [&](const char* what, uint32_t offset, uint32_t length) {
        add(what, [&](auto& f) {
            f.flags = wire::kFlagRoom;
            f.room_offset = offset;
            f.room_length = length;
        });
    };
    add("magic", [](auto& f) { ++f.magic; });
    for (const uint16_t type : std::initializer_list<uint16_t>{0, 2, 4, 8, 0xffff})
        add("type", [&](auto& f) { f.type = type; });
    add("flags", [](auto& f) { f.flags = 8; });
    add("all flags", [](auto& f) { f.flags = 0xffff; });
    add("length 0", [](auto& f) { f.length = 0; });
    add("length", [](auto& f) { f.length = VGPU_MAX_MESSAGE + 1; });
    add("length 2^32-1", [](auto& f) { f.length = UINT32_MAX; });
    add("status", [](auto& f) { f.status = 1; });
    add("range without its flag", [](auto& f) { f.data_length = 1; });
    add("room without its flag", [](auto& f) { f.room_offset = 1; });
    shared("nothing shared", 0, 0);
    shared("beyond the end", kShared - 1, 2);
    shared("far beyond", UINT32_MAX, 1);
    shared("overflowing", UINT32_MAX, UINT32_MAX);
    shared("longer than all", 0, kShared + 1);
    room("no room", 0, 0);
    room("room beyond the end", kShared - 1, 2);
    room("room that overflows", UINT32_MAX, UINT32_MAX);
    add("too much room", [](auto& f) { f.room_length = VGPU_MAX_MESSAGE + 1; });
    for (const auto& [what, frame] : cases) {
        SCOPED_TRACE(testing::Message() << what << " " << frame.type);
        RawPeer peer(rig.framed());
        ASSERT_TRUE(greet(peer, kVm, hello_of(0, kShared)));
        peer.send(bytes_with(frame, nop));
        EXPECT_TRUE(peer.is_ended());
    }
    EXPECT_EQ(rig.counters().malformed, cases.size());
    EXPECT_EQ(rig.vm(kVm).counters.faults, cases.size());
    expect_served(rig);
}

TEST(MediatorHostileFrames, SameIdTwiceInFlightEnds) {
    MediatorRig rig(two_vms());
    RawPeer peer(rig.framed());
    ASSERT_TRUE(greet(peer, kVm, hello_of()));
    const auto frame = request_frame(1, rig_job(60'000'000));
    ASSERT_TRUE(peer.send(frame));
    ASSERT_TRUE(peer.send(frame));
    EXPECT_TRUE(peer.is_ended());
}

TEST(MediatorHostileFrames, FaultsLeadToQuarantineOfThatVmAlone) {
    Config config = two_vms();
    config.quarantine.faults = 3;
    config.quarantine.release = {};
    MediatorRig rig(config);
    wire::Frame wrong{};
    for (int i = 0; i < 3; ++i) {
        RawPeer peer(rig.framed());
        ASSERT_TRUE(greet(peer, kVm, hello_of()));
        peer.send_value(wrong);
        EXPECT_TRUE(peer.is_ended());
    }
    RawPeer peer(rig.framed());
    ASSERT_TRUE(greet(peer, kVm, hello_of()));
    ASSERT_TRUE(peer.send(request_frame(1, compute::make_request(VGPU_OP_NOP))));
    EXPECT_EQ(receive_frame(peer)->head.status, VGPU_ERROR_QUARANTINED);
    expect_served(rig);
}

// One byte at a time is slow, not wrong.
TEST(MediatorHostileTime, MessageInPiecesIsTaken) {
    MediatorRig rig(two_vms());
    RawPeer peer(rig.framed());
    std::vector<std::byte> bytes = bytes_with(hello_header(kVm), wire::bytes_of(hello_of()));
    const auto frame = request_frame(1, compute::make_request(VGPU_OP_NOP));
    bytes.insert(bytes.end(), frame.begin(), frame.end());
    for (const std::byte byte : bytes) ASSERT_TRUE(peer.send({&byte, 1}));
    ASSERT_TRUE(peer.receive(sizeof(wire::HeaderV2) + sizeof(wire::Hello)));
    EXPECT_EQ(receive_frame(peer)->head.request_id, 1U);
}

Config impatient() {
    Config config = two_vms();
    // Longer than a busy machine keeps a peer that means well from saying its Hello.
    config.message_timeout = 1500ms;
    return config;
}

TEST(MediatorHostileTime, SlowLorisIsEnded) {
    MediatorRig rig(impatient());
    RawPeer silent(rig.framed());
    RawPeer begun(rig.framed());
    const auto hello = bytes_with(hello_header(kVm), wire::bytes_of(hello_of()));
    ASSERT_TRUE(begun.send(std::span(hello).first(30)));
    RawPeer framed(rig.framed());
    ASSERT_TRUE(greet(framed, kVm, hello_of()));
    ASSERT_TRUE(framed.send(std::span(hello).first(1)));
    RawPeer packet(rig.of_vm(kVm));
    ASSERT_TRUE(packet.send(std::span(hello).first(1)));
    EXPECT_TRUE(silent.is_ended());
    EXPECT_TRUE(begun.is_ended());
    EXPECT_TRUE(framed.is_ended());
    EXPECT_TRUE(packet.is_ended());
    EXPECT_EQ(rig.counters().slow, 4U);
}

// QEMU connects when the device is made, and a guest may not use it for days.
TEST(MediatorHostileTime, SilentVmSocketAndIdleSessionAreLeftAlone) {
    MediatorRig rig(impatient());
    RawPeer packet(rig.of_vm(kVm));
    RawPeer framed(rig.framed());
    ASSERT_TRUE(greet(framed, kVm, hello_of()));
    RawPeer loris(rig.framed());  // when this one was ended, time has passed
    ASSERT_TRUE(loris.is_ended());
    ASSERT_TRUE(packet.send(packet_of(kVm, 1, compute::make_request(VGPU_OP_NOP))));
    EXPECT_TRUE(receive_packet(packet));
    ASSERT_TRUE(framed.send(request_frame(1, compute::make_request(VGPU_OP_NOP))));
    EXPECT_TRUE(receive_frame(framed));
}

// A request that waits long is no slow message of its peer's, whatever it sends behind it.
TEST(MediatorHostileTime, WaitingForAnAnswerIsNotSlow) {
    MediatorRig rig(impatient());
    RawPeer packet(rig.of_vm(kVm));
    auto bytes = packet_of(kVm, 1, rig_job(3'500'000));
    const auto second = packet_of(kVm, 2, compute::make_request(VGPU_OP_NOP));
    bytes.insert(bytes.end(), second.begin(), second.end());
    ASSERT_TRUE(packet.send(bytes));
    EXPECT_EQ(receive_packet(packet)->head.request_id, 1U);
    EXPECT_EQ(receive_packet(packet)->head.request_id, 2U);
}

// It asks and never reads: its answers are bounded, then its requests wait, then it is ended.
TEST(MediatorHostileTime, PeerThatNeverReadsIsBoundedAndEnded) {
    MediatorRig rig(impatient());
    RawPeer peer(rig.framed());
    ASSERT_TRUE(greet(peer, kVm, hello_of()));
    std::vector<std::byte> batch;
    for (uint64_t id = 0; id < 1000; ++id) {
        const auto frame = request_frame(id, compute::make_request(VGPU_OP_NOP));
        batch.insert(batch.end(), frame.begin(), frame.end());
    }
    uint64_t sent = 0;
    while (peer.send(batch)) sent += 1000;  // until it is closed
    const uint64_t most = ((1U << 20) + (4U << 20)) / sizeof(wire::Frame);
    EXPECT_LT(rig.counters().answers, most);
    EXPECT_EQ(rig.counters().unread, 1U);
    EXPECT_LT(sent, 10 * most);
    expect_served(rig);
}

TEST(MediatorHostileFlood, OthersAreServedMeanwhile) {
    MediatorRig rig(two_vms());
    std::atomic<bool> stop = false;
    std::vector<std::thread> floods;
    for (int i = 0; i < 3; ++i) {
        floods.emplace_back([&] {
            RawPeer peer(rig.framed());
            if (!greet(peer, kVm, hello_of())) return;
            std::vector<std::byte> batch;
            for (uint64_t id = 0; id < 200; ++id) {
                const auto frame = request_frame(id, compute::make_request(VGPU_OP_NOP));
                batch.insert(batch.end(), frame.begin(), frame.end());
            }
            while (!stop && peer.send(batch) &&
                   peer.receive(200 * (sizeof(wire::Frame) + sizeof(vgpu_response)))) {
            }
        });
    }
    for (int i = 0; i < 50; ++i) expect_served(rig);
    stop = true;
    for (std::thread& flood : floods) flood.join();
    EXPECT_GE(rig.vm(kGood).counters.done, 50U);
}

TEST(MediatorHostileFlood, ConnectionsAreLimitedAndANewcomerReplacesASilentOne) {
    Config config = two_vms();
    config.max_connections = 20;
    MediatorRig rig(config);
    std::vector<std::unique_ptr<RawPeer>> silent;
    for (int i = 0; i < 60; ++i) silent.push_back(std::make_unique<RawPeer>(rig.framed()));
    expect_served(rig);
    EXPECT_LE(rig.counters().open, 20U);
    EXPECT_GE(rig.counters().evicted, 40U);
}

TEST(MediatorHostileFlood, OneVmCannotHaveAllPlaces) {
    Config config = two_vms();
    config.max_connections = 40;
    MediatorRig rig(config);
    std::vector<std::unique_ptr<RawPeer>> peers;
    size_t refused = 0;
    for (int i = 0; i < 40; ++i) {
        peers.push_back(std::make_unique<RawPeer>(rig.framed()));
        const auto answer = greet(*peers.back(), kVm, hello_of());
        if (answer && answer->status == VGPU_ERROR_QUEUE_FULL) ++refused;
    }
    EXPECT_EQ(refused, 40U - 16U);
    expect_served(rig);
    std::vector<std::unique_ptr<RawPeer>> packets;
    for (int i = 0; i < 30; ++i) packets.push_back(std::make_unique<RawPeer>(rig.of_vm(kVm)));
    expect_served(rig);
}

TEST(MediatorSockets, AreOursAloneUnlessOthersAreAdmitted) {
    const auto mode_of = [](const std::string& path) {
        struct stat info {};
        EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
        return info.st_mode & 0777;
    };
    MediatorRig rig(two_vms());
    EXPECT_EQ(mode_of(rig.framed()), 0600U);
    EXPECT_EQ(mode_of(rig.of_vm(kVm)), 0600U);
    ServerOptions options = server_options(rig.config());
    options.uids = {::geteuid() + 1};
    rig.on_loop([&] { ASSERT_TRUE(rig.server().reload(options)); });
    EXPECT_EQ(mode_of(rig.framed()), 0666U);
}

// Who listens at a path of ours is not pushed aside, and a link is not followed.
TEST(MediatorSockets, TakenPathIsAnErrorAndAllStaysAsItWas) {
    MediatorRig rig(two_vms());
    const auto taken = UnixListener::listen(rig.folder() + "/taken.sock");
    ASSERT_TRUE(taken);
    ASSERT_EQ(::symlink("/tmp/nowhere", (rig.folder() + "/link.sock").c_str()), 0);
    for (const char* name : {"/taken.sock", "/link.sock", "/no/folder.sock"}) {
        ServerOptions options = server_options(rig.config());
        options.socket = rig.folder() + name;
        rig.on_loop([&] { EXPECT_FALSE(rig.server().reload(options)) << name; });
    }
    expect_served(rig);
}

TEST(MediatorSockets, ReloadKeepsConnectionsAndChangesSockets) {
    MediatorRig rig(two_vms());
    RawPeer old(rig.of_vm(kVm));
    ASSERT_TRUE(old.send(packet_of(kVm, 1, compute::make_request(VGPU_OP_NOP))));
    ASSERT_TRUE(receive_packet(old));
    ServerOptions options = server_options(rig.config());
    options.vms = {kGood, 9};
    rig.on_loop([&] { ASSERT_TRUE(rig.server().reload(options)); });
    ASSERT_TRUE(old.send(packet_of(kVm, 2, compute::make_request(VGPU_OP_NOP))));
    EXPECT_TRUE(receive_packet(old));
    EXPECT_FALSE(unix_connect(rig.of_vm(kVm)));
    EXPECT_TRUE(unix_connect(rig.of_vm(9)));
}

TEST(MediatorSockets, TemplateWithoutAPlaceForTheVmIsRefused) {
    MediatorRig rig(two_vms());
    ServerOptions options = server_options(rig.config());
    options.vm_sockets = rig.folder() + "/same.sock";
    rig.on_loop([&] { EXPECT_FALSE(rig.server().reload(options)); });
}

}  // namespace
}  // namespace mimic::mediator

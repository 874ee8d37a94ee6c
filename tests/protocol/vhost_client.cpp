// SPDX-License-Identifier: Apache-2.0
#include "tests/protocol/vhost_client.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "base/check.h"
#include "base/unix_socket.h"

namespace mimic::test {
namespace {

using namespace vhost_user;

constexpr int kPatience = 10'000;  // ms
constexpr uint64_t kPacked = virtio::feature(virtio::kRingPacked);

std::span<const uint8_t> bytes_of(const auto& value) {
    return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

}  // namespace

bool eventually(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatience);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

VhostHost::VhostHost(Session::Options options) {
    std::string folder = "/tmp/mimic-vhost-XXXXXX";
    MIMIC_CHECK(::mkdtemp(folder.data()) != nullptr);
    folder_ = folder;
    path_ = folder + "/toy.sock";
    pool_ = LoopPool::create(1).value();
    toy_ = std::make_unique<ToyVirtio>("toy");
    on_loop([&] { server_ = Server::create(pool_->loop(0), *toy_, {path_, options}).value(); });
}

VhostHost::~VhostHost() {
    on_loop([&] { server_.reset(); });
    pool_.reset();
    ::rmdir(folder_.c_str());
}

Counters VhostHost::counters() {
    Counters counters;
    on_loop([&] { counters = server_->counters(); });
    return counters;
}

bool VhostHost::connected() {
    bool connected = false;
    on_loop([&] { connected = server_->connected(); });
    return connected;
}

VhostClient::VhostClient(const std::string& path) : socket_(unix_connect(path).value()) {
    memory_fd_.reset(::memfd_create("guest", MFD_CLOEXEC));
    MIMIC_CHECK(::ftruncate(memory_fd_.get(), static_cast<off_t>(kMemory)) == 0);
    mapping_ = Mapping::map(memory_fd_.get(), 0, kMemory, PROT_READ | PROT_WRITE).value();
    memory_.add(0, mapping_.bytes());
    for (size_t i = 0; i < kToyQueues; ++i) {
        kicks_[i].reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        calls_[i].reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    }
}

bool VhostClient::send_raw(std::span<const uint8_t> bytes, std::span<const int> fds) {
    iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(64 * sizeof(int))> control{};
    if (!fds.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* cmsg = CMSG_FIRSTHDR(&message);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(cmsg), fds.data(), fds.size_bytes());
    }
    return ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

bool VhostClient::send(Request request, std::span<const uint8_t> body, std::span<const int> fds,
                       uint32_t flags) {
    const Header header{static_cast<uint32_t>(request), flags, static_cast<uint32_t>(body.size())};
    std::vector<uint8_t> bytes(bytes_of(header).begin(), bytes_of(header).end());
    bytes.insert(bytes.end(), body.begin(), body.end());
    return send_raw(bytes, fds);
}

std::optional<VhostClient::Answer> VhostClient::receive() {
    Answer answer;
    const auto read_all = [&](void* to, size_t size) {
        for (size_t got = 0; got < size;) {
            pollfd probe{socket_.get(), POLLIN, 0};
            if (::poll(&probe, 1, kPatience) != 1) return false;
            const ssize_t n = ::recv(socket_.get(), static_cast<uint8_t*>(to) + got, size - got, 0);
            if (n <= 0) return false;
            got += static_cast<size_t>(n);
        }
        return true;
    };
    if (!read_all(&answer.header, sizeof answer.header)) return std::nullopt;
    answer.body.resize(answer.header.size);
    if (!read_all(answer.body.data(), answer.body.size())) return std::nullopt;
    return answer;
}

std::optional<uint64_t> VhostClient::ask(Request request, std::span<const uint8_t> body,
                                         std::span<const int> fds) {
    if (!send(request, body, fds, kVersion | kFlagNeedReply)) return std::nullopt;
    const auto answer = receive();
    if (!answer || answer->header.request != static_cast<uint32_t>(request) ||
        answer->header.flags != (kVersion | kFlagReply) || answer->body.size() != sizeof(uint64_t))
        return std::nullopt;
    uint64_t value = 0;
    std::memcpy(&value, answer->body.data(), sizeof value);
    return value;
}

std::optional<uint64_t> VhostClient::get(Request request) {
    return ask(request);
}

bool VhostClient::ends() {
    while (receive()) {
    }
    std::array<uint8_t, 1> byte{};
    return ::recv(socket_.get(), byte.data(), byte.size(), MSG_DONTWAIT) == 0 || errno != EAGAIN;
}

bool VhostClient::negotiate() {
    const auto offered = get(Request::kGetFeatures);
    if (!offered) return false;
    features = *offered;
    const auto protocols = get(Request::kGetProtocolFeatures);
    if (!protocols || !send(Request::kSetProtocolFeatures, *protocols)) return false;
    const auto queues = get(Request::kGetQueueNum);
    const auto slots = get(Request::kGetMaxMemSlots);
    std::array<int, 2> pair{-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) return false;
    backend_.reset(pair[0]);
    const UniqueFd theirs(pair[1]);
    const int fd = theirs.get();
    return queues == kToyQueues && slots && *slots >= 8 &&
           ask(Request::kSetBackendReqFd, {}, std::span(&fd, 1)) == 0 && send(Request::kSetOwner) &&
           get(Request::kGetFeatures) == features;
}

VringAddress VhostClient::ring_address(uint16_t index) const {
    const auto at = queues_[index]->addresses();
    return {index, 0, kUserBase + at.descriptors, kUserBase + at.device, kUserBase + at.driver, 0};
}

bool VhostClient::set_up_ring(uint16_t index, uint32_t base) {
    const int kick = kicks_[index].get();
    const int call = calls_[index].get();
    const uint64_t number = index;
    return send(Request::kSetVringNum, VringState{index, queues_[index]->options().size}) &&
           send(Request::kSetVringBase, VringState{index, base}) &&
           send(Request::kSetVringAddr, ring_address(index)) &&
           send(Request::kSetVringKick, number, std::span(&kick, 1)) &&
           send(Request::kSetVringCall, number, std::span(&call, 1));
}

bool VhostClient::start(uint16_t rings, bool packed) {
    packed_ = packed;
    for (uint16_t i = 0; i < rings; ++i) {
        queues_[i].reset();
        const uint64_t base = kRings + i * (kRingSize / 2);
        std::memset(memory_.at(base), 0, kRingSize / 2);
        queues_[i] = virtio::make_guest_queue(memory_, base, {16, packed, true});
        queues_[i]->want_interrupts(true);
    }
    const std::vector<uint32_t> bases(rings, packed ? 0x8000'8000 : 0);
    const SingleRegion single{0, region()};
    const int fd = memory_fd_.get();
    const auto added = ask(Request::kAddMemReg, single, std::span(&fd, 1));
    return added.has_value() && go_on(rings, bases);
}

bool VhostClient::go_on(uint16_t rings, const std::vector<uint32_t>& bases) {
    const uint64_t wanted = packed_ ? features : features & ~kPacked;
    if (!send(Request::kSetFeatures, wanted)) return false;
    for (uint16_t i = 0; i < rings; ++i)
        if (!set_up_ring(i, bases[i])) return false;
    for (uint16_t i = 0; i < rings; ++i)
        if (!send(Request::kSetVringEnable, VringState{i, 1})) return false;
    return get(Request::kGetFeatures) == features;  // all of it was carried out
}

std::vector<uint32_t> VhostClient::stop(uint16_t rings) {
    std::vector<uint32_t> bases;
    for (uint16_t i = 0; i < rings; ++i) send(Request::kSetVringEnable, VringState{i, 0});
    for (uint16_t i = 0; i < rings; ++i) {
        send(Request::kGetVringBase, VringState{i, 0});
        const auto answer = receive();
        if (!answer || answer->body.size() != sizeof(VringState)) return {};
        VringState state{};
        std::memcpy(&state, answer->body.data(), sizeof state);
        if (state.index != i) return {};
        bases.push_back(state.value);
    }
    return bases;
}

void VhostClient::kick(uint16_t index) {
    const uint64_t one = 1;
    MIMIC_CHECK(::write(kicks_[index].get(), &one, sizeof one) == sizeof one);
}

bool VhostClient::wait_call(uint16_t index) {
    pollfd probe{calls_[index].get(), POLLIN, 0};
    if (::poll(&probe, 1, kPatience) != 1) return false;
    uint64_t count = 0;
    return ::read(calls_[index].get(), &count, sizeof count) == sizeof count;
}

std::optional<std::vector<uint8_t>> VhostClient::request(uint16_t index, uint32_t room) {
    const auto id = queues_[index]->add({}, {{kData, room}});
    if (!id) return std::nullopt;
    if (queues_[index]->wants_kick()) kick(index);
    std::optional<virtio::GuestQueue::Used> used;
    while (!(used = queues_[index]->take()))
        if (!wait_call(index)) return std::nullopt;
    if (used->id != *id || used->written > room) return std::nullopt;
    const auto* const from = reinterpret_cast<const uint8_t*>(memory_.at(kData));
    return std::vector<uint8_t>(from, from + used->written);
}

bool VhostClient::wait_config_change() {
    pollfd probe{backend_.get(), POLLIN, 0};
    Header header{};
    return ::poll(&probe, 1, kPatience) == 1 &&
           ::recv(backend_.get(), &header, sizeof header, 0) == sizeof header &&
           header.request == static_cast<uint32_t>(BackendRequest::kConfigChange) &&
           header.flags == kVersion && header.size == 0;
}

}  // namespace mimic::test

// SPDX-License-Identifier: Apache-2.0
#include "vfio_user/negotiation.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "vfio_user/protocol.h"

namespace mimic::vfio_user {
namespace {

// Longest JSON, NUL included, that QEMU 11.1 takes.
constexpr size_t kMaxReplyJson = 193;

// A capability that must be an unsigned number within [low, high] if it is there.
// NOLINTNEXTLINE(readability-function-size): each call is a row of a table
Status read_number(const nlohmann::json& capabilities, const char* key, uint64_t low, uint64_t high,
                   uint64_t& value) {
    const auto found = capabilities.find(key);
    if (found == capabilities.end()) return {};
    if (!found->is_number_unsigned())
        return fail(std::errc::invalid_argument, "capability {} is not an unsigned number", key);
    const auto number = found->get<uint64_t>();
    if (number < low || number > high)
        return fail(std::errc::invalid_argument, "capability {} is {}, expected {}..{}", key,
                    number, low, high);
    value = number;
    return {};
}

// Capabilities that change nothing here; a peer that gets their types wrong is not one to go on
// with.
Status check_unused(const nlohmann::json& capabilities) {
    uint64_t ignored = 0;
    MIMIC_TRY(read_number(capabilities, "max_dma_maps", 0, UINT64_MAX, ignored));
    MIMIC_TRY(read_number(capabilities, "pgsizes", 0, UINT64_MAX, ignored));
    if (const auto twin = capabilities.find("twin_socket"); twin != capabilities.end()) {
        const bool good = twin->is_object() &&
                          (!twin->contains("supported") || twin->at("supported").is_boolean());
        if (!good) return fail(std::errc::invalid_argument, "capability twin_socket is not valid");
    }
    const auto migration = capabilities.find("migration");
    if (migration == capabilities.end()) return {};
    if (!migration->is_object())
        return fail(std::errc::invalid_argument, "capability migration is no object");
    MIMIC_TRY(read_number(*migration, "pgsize", kPageSize, UINT64_MAX, ignored));
    MIMIC_TRY(read_number(*migration, "max_bitmap_size", 0, UINT64_MAX, ignored));
    if (migration->contains("pgsize") &&
        !std::has_single_bit(migration->at("pgsize").get<uint64_t>()))
        return fail(std::errc::invalid_argument, "migration page size is no power of two");
    return {};
}

// An error is a header and nothing else (vfio-user.rst, Header), and QEMU, libvfio-user and SPDK
// read no more. rust-vmm's client (the vfio_user crate to 0.1.3, in cloud-hypervisor) looks at
// neither the error flag nor the size and reads the command's whole reply. Nothing in the protocol
// says so; it is known by all that it says of itself: 0.1, one descriptor and a migration page
// size. SPDK says 0.1 as well, but sends no JSON; libvfio-user's clients of 0.1 took 8 descriptors
// or more.
bool reads_fixed_errors(const nlohmann::json& capabilities, const ClientCapabilities& client) {
    const auto migration = capabilities.find("migration");
    return client.minor == 1 && capabilities.contains("max_msg_fds") && client.max_msg_fds == 1 &&
           migration != capabilities.end() && migration->contains("pgsize");
}

Status read_capabilities(const nlohmann::json& root, ClientCapabilities& client) {
    if (!root.is_object()) return fail(std::errc::invalid_argument, "JSON is not an object");
    const auto found = root.find("capabilities");
    if (found == root.end()) return {};
    if (!found->is_object())
        return fail(std::errc::invalid_argument, "\"capabilities\" is not an object");
    uint64_t fds = client.max_msg_fds;
    MIMIC_TRY(read_number(*found, "max_msg_fds", 0, kMaxClientFds, fds));
    client.max_msg_fds = static_cast<uint32_t>(fds);
    MIMIC_TRY(read_number(*found, "max_data_xfer_size", 1, UINT64_MAX, client.max_data_xfer_size));
    if (const auto multi = found->find("write_multiple"); multi != found->end()) {
        if (!multi->is_boolean())
            return fail(std::errc::invalid_argument, "capability write_multiple is no boolean");
        client.write_multiple = multi->get<bool>();
    }
    MIMIC_TRY(check_unused(*found));
    client.fixed_errors = reads_fixed_errors(*found, client);
    return {};
}

}  // namespace

Result<ClientCapabilities> parse_version(std::span<const uint8_t> payload) {
    VersionBody body;
    if (payload.size() < sizeof body)
        return fail(std::errc::invalid_argument, "VERSION of {} bytes", payload.size());
    std::memcpy(&body, payload.data(), sizeof body);
    if (body.major != kMajor)
        return fail(std::errc::invalid_argument, "VERSION {}.{}, expected major {}", body.major,
                    body.minor, kMajor);
    ClientCapabilities client;
    client.minor = body.minor;
    const auto json = payload.subspan(sizeof body);
    if (json.empty()) return client;
    if (json.back() != 0)
        return fail(std::errc::invalid_argument, "VERSION JSON without final NUL");
    // A C string: what a fixed-size buffer holds behind the first NUL is nobody's business.
    const auto end = std::find(json.begin(), json.end(), uint8_t{0});
    const auto root = nlohmann::json::parse(json.begin(), end, nullptr, /*allow_exceptions=*/false);
    if (root.is_discarded())
        return fail(std::errc::invalid_argument, "VERSION JSON does not parse");
    MIMIC_TRY(read_capabilities(root, client));
    return client;
}

std::string version_reply(const ClientCapabilities& client) {
    const VersionBody body{kMajor, std::min(kMinor, client.minor)};
    // write_multiple stays unadvertised: on QEMU 10.1 and 10.2 it changes how writes are queued.
    const auto json = fmt::format(R"({{"capabilities":{{"max_msg_fds":{},"max_data_xfer_size":{},)"
                                  R"("max_dma_maps":{},"pgsizes":{}}}}})",
                                  kMaxMsgFds, kMaxDataXferSize, kMaxDmaMaps, kPageSize);
    MIMIC_CHECK(json.size() + 1 <= kMaxReplyJson);
    std::string reply(sizeof body, '\0');
    std::memcpy(reply.data(), &body, sizeof body);
    reply += json;
    reply += '\0';
    return reply;
}

}  // namespace mimic::vfio_user

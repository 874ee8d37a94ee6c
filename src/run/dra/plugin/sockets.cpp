// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/sockets.h"

#include <openssl/sha.h>
#include <sys/un.h>

#include <array>

#include "dra/plugin/names.h"

namespace mimic::dra {
namespace {

constexpr size_t kMaxPath = sizeof(sockaddr_un::sun_path) - 1;

// The first `bytes` of SHA-256 in base64url without padding (RFC 4648, 5).
std::string short_hash(std::string_view text, size_t bytes) {
    constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::array<unsigned char, SHA256_DIGEST_LENGTH> hash{};
    ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data());
    std::string out;
    unsigned bits = 0;
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; ++i) {
        value = (value << 8U) | hash[i];
        bits += 8;
        for (; bits >= 6; bits -= 6) out += kDigits[(value >> (bits - 6)) & 63U];
    }
    if (bits > 0) out += kDigits[(value << (6 - bits)) & 63U];
    return out;
}

std::string service_name(const std::string& pod_uid) {
    return pod_uid.empty() ? "dra.sock" : fmt::format("dra-{}.sock", pod_uid);
}

// The first of the names with which the path is short enough, else the first.
std::string fitting(const std::string& folder, const std::vector<std::string>& names) {
    for (const auto& name : names) {
        if (folder.size() + 1 + name.size() <= kMaxPath) return fmt::format("{}/{}", folder, name);
    }
    return fmt::format("{}/{}", folder, names.front());
}

}  // namespace

Result<SocketNames> socket_names(const std::string& kubelet_dir, const std::string& driver,
                                 const std::string& pod_uid) {
    if (kubelet_dir.empty() || kubelet_dir.front() != '/')
        return fail(std::errc::invalid_argument, "the kubelet's folder '{}' is no absolute path",
                    kubelet_dir);
    if (!pod_uid.empty() && !is_uid(pod_uid))
        return fail(std::errc::invalid_argument, "'{}' is no pod's uid", shown(pod_uid));
    SocketNames out;
    out.data_dir = fmt::format("{}/plugins/{}", kubelet_dir, driver);
    const auto registry = fmt::format("{}/plugins_registry", kubelet_dir);
    if (pod_uid.empty()) {
        out.service = fmt::format("{}/{}", out.data_dir, service_name(""));
        out.registration = fmt::format("{}/{}-reg.sock", registry, driver);
    } else {
        const auto hash = short_hash(pod_uid, 8);
        const auto both = short_hash(fmt::format("{}{}{}", driver, '\0', pod_uid), 16);
        out.service = fitting(out.data_dir, {service_name(pod_uid), service_name(hash),
                                             fmt::format("d-{}.sock", short_hash(pod_uid, 5))});
        out.registration = fitting(registry, {fmt::format("{}-{}-reg.sock", driver, pod_uid),
                                              fmt::format("{}-{}-reg.sock", driver, hash),
                                              fmt::format("dra-{}-reg.sock", both)});
    }
    for (const auto& path : {out.service, out.registration}) {
        if (path.size() > kMaxPath)
            return fail(std::errc::filename_too_long,
                        "the socket's path {} has {} bytes; {} are possible", path, path.size(),
                        kMaxPath);
    }
    return out;
}

std::string unix_uri(const std::string& path) {
    std::string out = "unix:";
    for (const char c : path) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '/' || c == '.' || c == '_' || c == '-' ||
                           c == '~';
        out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

}  // namespace mimic::dra

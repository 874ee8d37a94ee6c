// SPDX-License-Identifier: Apache-2.0
// Others' eyes for tests: what pciutils makes of a configuration space.
#pragma once

#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>

namespace mimic::pci {

/// Output of a shell command.
inline std::string output_of(const std::string& command) {
    std::string result;
    FILE* const pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) return result;
    std::array<char, 4096> buffer;
    while (const size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
        result.append(buffer.data(), count);
    }
    ::pclose(pipe);
    return result;
}

/// Where lspci is; empty: not installed.
inline std::string find_lspci() {
    std::string path = output_of("PATH=$PATH:/usr/bin:/sbin:/usr/sbin command -v lspci");
    while (!path.empty() && path.back() == '\n') path.pop_back();
    return path;
}

/// `lspci -n -vvv` of `image`, as the function with routing id `rid`.
inline std::string lspci_text(const std::string& lspci, std::span<const uint8_t> image,
                              uint32_t rid = 0) {
    std::string dump = fmt::format("{:02x}:{:02x}.{} x\n", rid >> 8, (rid >> 3) & 31, rid & 7);
    for (size_t at = 0; at + 16 <= image.size(); at += 16) {
        dump += fmt::format("{:02x}:", at);
        for (size_t i = 0; i < 16; ++i) dump += fmt::format(" {:02x}", image[at + i]);
        dump += '\n';
    }
    std::string path = "/tmp/mimic-lspci.XXXXXX";
    const int fd = ::mkstemp(path.data());
    if (fd < 0) return {};
    const bool written = ::write(fd, dump.data(), dump.size()) == static_cast<ssize_t>(dump.size());
    ::close(fd);
    const std::string text = written ? output_of(lspci + " -n -vvv -F " + path + " 2>/dev/null")
                                     : std::string();
    ::unlink(path.c_str());
    return text;
}

}  // namespace mimic::pci

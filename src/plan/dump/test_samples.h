// SPDX-License-Identifier: Apache-2.0
// The samples of tests/clone, and dumps made of a few bytes.
#pragma once

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace mimic::dump {

inline std::string sample(const std::string& name) {
    std::ifstream file(std::string(MIMIC_SOURCE_DIR) + "/tests/clone/samples/" + name + ".txt");
    return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string test_case(const std::string& name) {
    std::ifstream file(std::string(MIMIC_SOURCE_DIR) + "/tests/clone/testdata/" + name + ".txt");
    return {std::istreambuf_iterator<char>(file), {}};
}

/// `text` with the first `from` replaced; empty if there is none, so that a test notices.
inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const size_t at = text.find(from);
    if (at == std::string::npos) return {};
    return text.replace(at, from.size(), to);
}

/// A function's configuration space for tests: ids, class, and whatever is put into it.
struct TestFunction {
    std::string address = "01:00.0";
    std::vector<uint8_t> bytes = std::vector<uint8_t>(256, 0);
    std::string text{};  // lines below the heading

    TestFunction& put(size_t at, uint32_t value, size_t size = 4) {
        for (size_t i = 0; i < size; ++i) bytes.at(at + i) = static_cast<uint8_t>(value >> 8 * i);
        return *this;
    }

    /// A PCI Express capability of this port type at 0x40.
    TestFunction& express(uint32_t type) {
        put(0x06, 0x0010, 2).put(0x34, 0x40, 1);
        return put(0x40, 0x0002'0010 | type << 20).put(0x4c, 0x0041'0043);
    }

    TestFunction& bridge(uint32_t type, uint8_t primary, uint8_t secondary, uint8_t subordinate) {
        put(0x08, 0x0604'0000).put(0x0e, 1, 1);
        put(0x18, primary | uint32_t{secondary} << 8 | uint32_t{subordinate} << 16);
        return express(type);
    }

    std::string dump() const {
        std::string out = address + " A device\n" + text;
        for (size_t at = 0; at < bytes.size(); at += 16) {
            out += fmt::format("{:02x}:", at);
            for (size_t i = at; i < at + 16; ++i) out += fmt::format(" {:02x}", bytes[i]);
            out += "\n";
        }
        return out + "\n";
    }
};

/// An endpoint with ids and class.
inline TestFunction endpoint(std::string address, uint32_t ids = 0x1234'8086) {
    TestFunction out;
    out.address = std::move(address);
    return out.put(0, ids).put(0x08, 0x0200'0000);
}

inline TestFunction port(std::string address, uint32_t type, uint8_t secondary,
                         uint8_t subordinate) {
    TestFunction out = endpoint(std::move(address));
    return out.bridge(type, 0, secondary, subordinate);
}

}  // namespace mimic::dump

// SPDX-License-Identifier: Apache-2.0
// Files that the tests of src/plan/topology read, and how golden files are compared and updated.
// Test code only.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace mimic::topology {

inline const std::filesystem::path kRoot = MIMIC_SOURCE_DIR;
inline const std::filesystem::path kTestData = kRoot / "src/plan/topology/testdata";

inline std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// The files of `folder` that end in `extension`, in order.
inline std::vector<std::filesystem::path> list_files(const std::filesystem::path& folder,
                                                     const std::string& extension) {
    std::vector<std::filesystem::path> out;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() == extension) out.push_back(entry.path());
    }
    std::sort(out.begin(), out.end());
    return out;
}

/// Every topology file that must parse.
inline std::vector<std::filesystem::path> good_files() {
    auto out = list_files(kRoot / "examples", ".yaml");
    const auto more = list_files(kTestData / "good", ".yaml");
    out.insert(out.end(), more.begin(), more.end());
    return out;
}

/// Compares with a file, or writes the file if MIMIC_UPDATE_GOLDEN is 1.
inline void expect_golden(const std::filesystem::path& path, const std::string& actual) {
    const char* update = std::getenv("MIMIC_UPDATE_GOLDEN");
    if (update != nullptr && std::string(update) == "1") {
        std::ofstream(path, std::ios::binary) << actual;
        return;
    }
    EXPECT_EQ(read_file(path), actual)
        << path << " differs; if that is wanted, run again with MIMIC_UPDATE_GOLDEN=1";
}

}  // namespace mimic::topology

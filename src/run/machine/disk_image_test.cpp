// SPDX-License-Identifier: Apache-2.0
#include "machine/disk_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "machine/process.h"
#include "machine/qemu_locate.h"
#include "outputs/qemu_args.h"

namespace mimic::machine {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class DiskImageTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "mimic-disk-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override {
        std::error_code ignored;
        fs::remove_all(folder_, ignored);
    }

    std::string file(std::string_view content) const {
        std::ofstream(folder_ + "/image", std::ios::binary) << content;
        return folder_ + "/image";
    }

    std::string folder_;
};

// A header of `version` for a disk of 1 MiB, with `value` in `bytes` bytes at `offset`.
std::string header(unsigned version = 3, size_t offset = 0, size_t bytes = 0, uint64_t value = 0) {
    std::string text("QFI\xfb", 4);
    text.resize(version == 2 ? 72 : 112);
    text[7] = static_cast<char>(version);
    text[29] = 0x10;
    for (size_t i = 0; i < bytes; ++i)
        text[offset + i] = static_cast<char>(value >> (8 * (bytes - 1 - i)));
    return text;
}

TEST_F(DiskImageTest, Qcow2ThatStandsAloneIsAccepted) {
    for (const unsigned version : {2, 3}) {
        const auto checked = check_disk_image(file(header(version)));
        ASSERT_TRUE(checked) << checked.error().message();
        EXPECT_EQ(checked->size_bytes, 1u << 20);
        EXPECT_EQ(checked->path, folder_ + "/image");
    }
    // Not closed, corrupt, compression, subclusters: each is all in one file.
    EXPECT_TRUE(check_disk_image(file(header(3, 72, 8, 0x1b))));
}

TEST_F(DiskImageTest, HeaderThatNamesAnotherFileIsRefused) {
    for (const std::string& content :
         {header(2, 8, 8, 0x200), header(3, 8, 8, 1), header(3, 15, 1, 1), header(3, 16, 4, 11),
          header(3, 72, 8, 4), header(3, 72, 8, 0x1f), header(2, 32, 4, 1), header(3, 32, 4, 2),
          header(3, 72, 8, 0x20), header(3, 72, 8, uint64_t{1} << 63)}) {
        const auto checked = check_disk_image(file(content));
        ASSERT_FALSE(checked);
        EXPECT_EQ(checked.error().code(), std::errc::operation_not_permitted);
        EXPECT_THAT(checked.error().message(), HasSubstr("complete in its one file"));
    }
}

TEST_F(DiskImageTest, CutOrUnknownVersionIsRefused) {
    for (const std::string& content :
         {header(3).substr(0, 79), header(2).substr(0, 71), header(3).substr(0, 4), header(1),
          header(4), header(3, 4, 4, 0x03000000)})
        EXPECT_EQ(check_disk_image(file(content)).error().code(), std::errc::invalid_argument);
}

TEST_F(DiskImageTest, MissingFileTellsTheRuleOfRelativePaths) {
    const auto checked = check_disk_image(folder_ + "/none.qcow2");
    EXPECT_EQ(checked.error().code(), std::errc::no_such_file_or_directory);
    EXPECT_THAT(checked.error().message(), HasSubstr("/none.qcow2 does not exist"));
    EXPECT_THAT(checked.error().message(), HasSubstr("topology file's folder"));
}

TEST_F(DiskImageTest, OtherContentTellsHowToConvert) {
    for (const std::string_view content : {"", "QFI", "\x1f\x8b\x08\x00 gzip", "QFIx and more"}) {
        const auto checked = check_disk_image(file(content));
        EXPECT_EQ(checked.error().code(), std::errc::invalid_argument) << content;
        EXPECT_THAT(checked.error().message(), HasSubstr("qemu-img convert"));
    }
}

TEST_F(DiskImageTest, FoldersAndPipesAreRefused) {
    EXPECT_EQ(check_disk_image(folder_).error().code(), std::errc::is_a_directory);
    const std::string pipe = folder_ + "/pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_EQ(check_disk_image(pipe).error().code(), std::errc::invalid_argument);
}

// What QEMU itself makes and opens.
class QemuImageTest : public DiskImageTest {
protected:
    void SetUp() override {
        DiskImageTest::SetUp();
        if (const auto found = find_qemu()) qemu_ = *found;
        if (qemu_.img.empty()) GTEST_SKIP() << "no QEMU with qemu-img here; run: tools/debs qemu";
        std::ofstream(secret()) << std::string(65536, 's');
    }

    std::string secret() const { return folder_ + "/secret"; }

    // `qemu-img create -f qcow2 OPTIONS IMAGE SIZE`; the image's path.
    std::string create(std::vector<std::string> options, const std::string& size) const {
        const std::string image = folder_ + "/image";
        fs::remove(image);
        std::vector<std::string> argv{qemu_.img, "create", "-q", "-f", "qcow2"};
        argv.insert(argv.end(), options.begin(), options.end());
        argv.push_back(image);
        if (!size.empty()) argv.push_back(size);
        const auto made = run_capture(argv, std::chrono::seconds(120));
        EXPECT_TRUE(made && made->exit.ok()) << (made ? made->err : made.error().message());
        return image;
    }

    // The files that QEMU opens for the disk of a guest whose image is `image`.
    std::multiset<std::string> opened(const std::string& image) const {
        topology::Machine machine;
        machine.kernel.image = image;
        outputs::RunContext context;
        context.disk = folder_ + "/disk.qcow2";
        context.disk_base = image;
        const auto made = run_capture(
            {qemu_.img, "create", "-q", "-f", "qcow2", context.disk, "1048576"},
            std::chrono::seconds(120));
        EXPECT_TRUE(made && made->exit.ok());
        machine.nodes.emplace_back();
        std::string command =
            R"(printf '{"execute":"%s"}\n' qmp_capabilities query-named-block-nodes quit | )" +
            qemu_.program + " -nodefaults -no-user-config -display none -S -qmp stdio";
        const auto arguments = outputs::qemu_args(machine, context);
        EXPECT_TRUE(arguments);
        for (size_t i = 0; arguments && i + 1 < arguments->size(); ++i)
            if ((*arguments)[i] == "-blockdev")
                command += " -blockdev '" + (*arguments)[i + 1] + "'";
        const auto answer = run_capture({"/bin/sh", "-c", command}, std::chrono::seconds(120));
        std::multiset<std::string> files;
        if (!answer || !answer->exit.ok()) {
            ADD_FAILURE() << (answer ? answer->err : answer.error().message());
            return files;
        }
        std::istringstream lines(answer->out);
        for (std::string line; std::getline(lines, line);) {
            const auto json = nlohmann::json::parse(line, nullptr, false);
            if (!json.is_object() || !json.contains("return") || !json["return"].is_array())
                continue;
            for (const auto& node : json["return"])
                if (node.value("drv", "") == "file") files.insert(node.value("file", ""));
        }
        return files;
    }

    Qemu qemu_;
};

TEST_F(QemuImageTest, ImagesThatStandAloneAreTaken) {
    for (const auto& options : std::vector<std::vector<std::string>>{
             {}, {"-o", "compat=0.10"}, {"-o", "compression_type=zstd,extended_l2=on"}}) {
        const auto checked = check_disk_image(create(options, "5M"));
        ASSERT_TRUE(checked) << checked.error().message();
        EXPECT_EQ(checked->size_bytes, 5u << 20);
    }
}

TEST_F(QemuImageTest, ImagesThatNeedMoreAreRefused) {
    const std::string data = folder_ + "/data.raw";
    const std::string key = "secret,id=k,data=abc123";
    for (const auto& [options, what] :
         std::vector<std::pair<std::vector<std::string>, const char*>>{
             {{"-F", "raw", "-b", secret()}, "backing file"},
             {{"-F", "raw", "-b", secret(), "-o", "compat=0.10"}, "backing file"},
             {{"-u", "-F", "raw", "-b", "json:{\"driver\":\"file\",\"filename\":\"/x\"}"},
              "backing file"},
             {{"-u", "-F", "raw", "-b", "nbd:localhost:10809"}, "backing file"},
             {{"-o", "data_file=" + data + ",data_file_raw=on"}, "has its data"},
             {{"--object", key, "-o", "encrypt.format=aes,encrypt.key-secret=k"}, "encrypted"}}) {
        const auto checked = check_disk_image(create(options, "1M"));
        ASSERT_FALSE(checked) << what;
        EXPECT_EQ(checked.error().code(), std::errc::operation_not_permitted);
        EXPECT_THAT(checked.error().message(), HasSubstr(what));
    }
}

TEST_F(QemuImageTest, OtherFormatsAreRefused) {
    for (const char* format : {"vmdk", "vhdx", "vpc", "vdi", "qed", "parallels", "raw"}) {
        const std::string image = folder_ + "/image";
        fs::remove(image);
        const auto made = run_capture({qemu_.img, "create", "-q", "-f", format, image, "4M"},
                                      std::chrono::seconds(120));
        ASSERT_TRUE(made);
        if (!made->exit.ok()) continue;  // not in this QEMU
        EXPECT_EQ(check_disk_image(image).error().code(), std::errc::invalid_argument) << format;
    }
}

// Even of an image that came there after it was checked, QEMU opens no other file.
TEST_F(QemuImageTest, ChainEndsAtTheImage) {
    const std::string image = create({"-F", "raw", "-b", secret()}, "");
    EXPECT_EQ(opened(image), (std::multiset<std::string>{folder_ + "/disk.qcow2", image}));
}

}  // namespace
}  // namespace mimic::machine

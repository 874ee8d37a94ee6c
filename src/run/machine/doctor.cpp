// SPDX-License-Identifier: Apache-2.0
#include "machine/doctor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "base/command_report.h"
#include "base/private_files.h"
#include "base/text_table.h"
#include "base/unique_fd.h"
#include "guest_image/guest_image.h"
#include "guest_image/prepared_image.h"
#include "machine/kvm_probe.h"
#include "machine/qemu_locate.h"
#include "machine/run_dir.h"

namespace mimic::machine {
namespace {

constexpr const char* kUsualKernel = "6.1";
constexpr uint64_t kWantedMemory = 1ull << 30;  // one small machine and a build
constexpr uint64_t kWantedDisk = 3ull << 30;    // the whole cache (tools/README.md)

struct Examination {
    std::vector<Finding> findings;
    std::optional<Qemu> qemu;
    std::string cache;
    std::string debs = "tools/debs";
    std::string setup = "tools/setup";
    bool can_fetch = false;  // tools/debs is there, with the programs that it runs
    bool has_image = false;  // of kUsualKernel, made elsewhere

    void add(std::string subject, Health health, std::string text, std::string mend = "") {
        findings.push_back({std::move(subject), health, std::move(text), std::move(mend)});
    }
};

bool is_in_path(const std::string& program) {
    const char* path = std::getenv("PATH");
    std::istringstream folders(path != nullptr ? path : "/usr/bin:/bin");
    for (std::string folder; std::getline(folders, folder, ':');)
        if (::access((folder + "/" + program).c_str(), X_OK) == 0) return true;
    // depmod and others are where a plain user's PATH does not look.
    return ::access(("/usr/sbin/" + program).c_str(), X_OK) == 0;
}

std::string mib(uint64_t bytes) {
    return fmt::format("{} MiB", bytes >> 20);
}

void look_for_tools(Examination& e) {
    for (auto* tool : {&e.debs, &e.setup})
        if (const auto path = guest_image::find_support_file(*tool)) *tool = *path;
    if (const auto found = guest_image::find_support_file("tools/debs"); !found)
        e.add("Mimic's tools", Health::kMissing, found.error().message(),
              "export MIMIC_TOOLS_DIR=<Mimic's sources>/tools");
    std::string missing;
    for (const char* program : {"make", "gcc", "apt-get", "dpkg-deb"})
        if (!is_in_path(program)) missing += (missing.empty() ? "" : ", ") + std::string(program);
    e.can_fetch = is_in_path("apt-get") && is_in_path("dpkg-deb") &&
                  guest_image::find_support_file("tools/debs");
    const auto prepared = guest_image::prepared_image(kUsualKernel);
    e.has_image = prepared && prepared->has_value();
    if (missing.empty())
        e.add("Programs", Health::kOk, "make, gcc, apt-get, dpkg-deb");
    else if (e.has_image)
        e.add("Programs", Health::kNote,
              "not in PATH: " + missing + "; guests with another kernel than " + kUsualKernel +
                  " need them",
              e.setup + " build");
    else
        e.add("Programs", Health::kMissing, "not in PATH: " + missing, e.setup + " build");
}

void look_for_cross_compiler(Examination& e) {
    if (is_in_path("riscv64-linux-gnu-gcc-12"))
        e.add("Compiler for riscv64", Health::kOk, "riscv64-linux-gnu-gcc-12");
    else
        e.add("Compiler for riscv64", Health::kNote,
              "missing; machines with arch: riscv64 need it for their modules and programs",
              e.setup + " riscv64");
}

void look_for_go(Examination& e) {
    if (is_in_path("go"))
        e.add("Go", Health::kOk, "in PATH; the Kubernetes of the tests is built with it");
    else
        e.add(
            "Go", Health::kNote,
            "not in PATH; without Go 1.26 or newer the tests on a Kubernetes cluster are skipped");
}

void look_for_qemu(Examination& e) {
    const auto qemu = find_qemu();
    if (!qemu) {
        const bool chosen = std::getenv("MIMIC_QEMU") != nullptr;
        // What mimic up mends by itself is not missing, as with kernels.
        const bool fetched = !chosen && e.can_fetch &&
                             qemu.error().code() == std::errc::no_such_file_or_directory;
        e.add("QEMU", fetched ? Health::kNote : Health::kMissing,
              fetched ? "none with vfio-user-pci (10.1 or newer) is here; mimic up fetches one"
                      : qemu.error().message(),
              chosen ? "unset MIMIC_QEMU" : e.debs + " qemu");
        return;
    }
    e.qemu = *qemu;
    e.add("QEMU", Health::kOk,
          fmt::format("{} with vfio-user-pci: {}", qemu->version, qemu->program));
    if (qemu->img.empty())
        e.add("qemu-img", Health::kNote, "missing; it is needed to boot cloud images only",
              "apt-get install qemu-utils");
}

void look_for_kernels(Examination& e) {
    for (const char* series : {"6.1", "6.12", "6.12-riscv64"}) {
        const std::string dir = e.cache + "/kernels/" + series;
        const auto release = read_small_file(dir + "/release");
        const std::string subject = fmt::format("Guest kernel {}", series);
        if (e.has_image && std::string_view(series) == kUsualKernel)
            e.add(subject, Health::kOk, "made ready");
        else if (release && ::access((dir + "/vmlinuz").c_str(), R_OK) == 0)
            e.add(subject, Health::kOk, release->substr(0, release->find('\n')));
        else
            e.add(subject, Health::kNote, "not in the cache; mimic up fetches it when needed",
                  fmt::format("{} kernel {}", e.debs, series));
    }
    if (e.has_image || ::access((e.cache + "/guest/root").c_str(), R_OK) == 0)
        e.add("Guest programs", Health::kOk, e.has_image ? "made ready" : e.cache + "/guest/root");
    else
        e.add("Guest programs", Health::kNote, "not in the cache; mimic up fetches them",
              e.debs + " guest");
}

void look_for_kvm(Examination& e) {
    if (!e.qemu) return;
    const KvmVerdict verdict = known_kvm_verdict(*e.qemu);
    e.add(
        "KVM", verdict.usable ? Health::kOk : Health::kNote,
        verdict.usable ? verdict.reason : verdict.reason + "; guests run on TCG, which is slower");
}

void look_at_folders(Examination& e) {
    struct statvfs disk {};
    std::string existing = e.cache;
    while (::statvfs(existing.c_str(), &disk) != 0 && existing.size() > 1)
        existing = existing.substr(0, std::max<size_t>(1, existing.rfind('/')));
    const uint64_t free = uint64_t{disk.f_bavail} * disk.f_frsize;
    if (free >= kWantedDisk)
        e.add("Cache", Health::kOk, fmt::format("{}, {} free", e.cache, mib(free)));
    else
        e.add("Cache", Health::kNote,
              fmt::format("{}: only {} free, a full cache has {}", e.cache, mib(free),
                          mib(kWantedDisk)),
              "export MIMIC_CACHE=<a folder on a larger disk>");
    // 33 bytes: "/<machine>/<function>.sock" with short names.
    const std::string root = run_root_path();
    if (root.size() + 33 > kMaxSocketPath)
        e.add("Run folder", Health::kMissing,
              fmt::format("{} has {} bytes; socket paths may have {}", root, root.size(),
                          kMaxSocketPath),
              "export XDG_RUNTIME_DIR=/tmp/mimic-$(id -u)");
    else if (const auto opened = RunRoot::open(); !opened)
        e.add("Run folder", Health::kMissing, opened.error().message());
    else
        e.add("Run folder", Health::kOk, root);
    if (const auto state = state_root_path(); !state)
        e.add("Log folder", Health::kMissing, state.error().message(), "export HOME=<your home>");
    else
        e.add("Log folder", Health::kOk, *state);
}

void look_at_memory(Examination& e) {
    std::ifstream file("/proc/meminfo");
    uint64_t available = 0;
    for (std::string key, rest; file >> key; std::getline(file, rest))
        if (uint64_t value = 0; file >> value && key == "MemAvailable:") available = value << 10;
    e.add("Memory", available >= kWantedMemory ? Health::kOk : Health::kNote,
          mib(available) + " available");
}

const char* word(Health health) {
    switch (health) {
        case Health::kOk:
            return "ok";
        case Health::kNote:
            return "note";
        case Health::kMissing:
            return "missing";
    }
    return "";
}

bool print_json(const std::vector<Finding>& findings, bool missing) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& finding : findings)
        list.push_back({{"subject", finding.subject},
                        {"health", word(finding.health)},
                        {"text", finding.text},
                        {"mend", finding.mend}});
    const nlohmann::ordered_json document = {{"format", "mimic-doctor"},
                                             {"version", 1},
                                             {"result", missing ? "missing" : "ok"},
                                             {"findings", std::move(list)}};
    return print_document(document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace

std::vector<Finding> examine() {
    Examination e;
    if (const auto cache = guest_image::cache_root()) {
        e.cache = *cache;
    } else {
        e.add("Cache", Health::kMissing, cache.error().message(), "export HOME=<your home>");
    }
    look_for_tools(e);
    look_for_cross_compiler(e);
    look_for_go(e);
    look_for_qemu(e);
    look_for_kvm(e);
    if (!e.cache.empty()) look_for_kernels(e);
    look_at_folders(e);
    look_at_memory(e);
    return e.findings;
}

int run_doctor(bool json) {
    const auto findings = examine();
    bool missing = false;
    for (const auto& finding : findings) missing |= finding.health == Health::kMissing;
    if (json) {
        return print_json(findings, missing) && !missing ? 0 : 1;
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& finding : findings) {
        rows.push_back({word(finding.health), finding.subject, finding.text});
        if (!finding.mend.empty()) rows.push_back({"", "", "run: " + finding.mend});
    }
    std::fputs(text_table(rows).c_str(), stdout);
    fmt::print("{}\n", missing ? "Something is missing; see above." : "Mimic can run here.");
    return missing ? 1 : 0;
}

}  // namespace mimic::machine

// SPDX-License-Identifier: Apache-2.0
// process_* as Prometheus client libraries name them, out of /proc/self.
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "service/metrics.h"

namespace mimic::service {
namespace {

// Fields of proc(5), /proc/PID/stat, that come behind the command in its parentheses.
constexpr size_t kStartTime = 22;
constexpr size_t kVirtualSize = 23;
constexpr size_t kResidentPages = 24;

std::string read_all(const char* path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

uint64_t stat_field(const std::string& stat, size_t number) {
    const size_t behind = stat.rfind(')');
    if (behind == std::string::npos) return 0;
    std::istringstream words(stat.substr(behind + 1));
    std::string word;
    for (size_t field = 3; words >> word; ++field)
        if (field == number) return std::strtoull(word.c_str(), nullptr, 10);
    return 0;
}

double boot_time() {
    const std::string stat = read_all("/proc/stat");
    const size_t at = stat.find("btime ");
    return at == std::string::npos ? 0 : std::strtod(stat.c_str() + at + 6, nullptr);
}

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

uint64_t open_descriptors() {
    std::error_code error;
    uint64_t count = 0;
    for (std::filesystem::directory_iterator at("/proc/self/fd", error), end; !error && at != end;
         at.increment(error))
        ++count;
    return count > 0 ? count - 1 : 0;  // that of the folder itself
}

}  // namespace

void add_process_metrics(Metrics& metrics) {
    metrics.add("mimic_build_info", {{"version", MIMIC_VERSION}}, 1);
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    metrics.add_real("process_cpu_seconds_total", {},
                     seconds(used.ru_utime) + seconds(used.ru_stime));
    const std::string stat = read_all("/proc/self/stat");
    const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
    metrics.add_real("process_start_time_seconds", {},
                     boot_time() + static_cast<double>(stat_field(stat, kStartTime)) / ticks);
    metrics.add("process_resident_memory_bytes", {},
                stat_field(stat, kResidentPages) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)));
    metrics.add("process_virtual_memory_bytes", {}, stat_field(stat, kVirtualSize));
    metrics.add("process_open_fds", {}, open_descriptors());
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    metrics.add("process_max_fds", {}, limit.rlim_cur);
}

}  // namespace mimic::service
